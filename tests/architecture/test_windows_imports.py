"""Every module can be imported where the modules of POSIX do not exist, as on Windows.

Tried in a process of its own: first everything is imported as it is, so that the libraries are there; then the
project anew, with the platform named win32 and the modules that Windows does not have taken away.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
POSIX_ONLY = ("fcntl", "resource", "pwd", "grp", "termios", "_posixshmem")

PROGRAM = """
import importlib
import pkgutil
import sys

PACKAGES, POSIX_ONLY = ("procvision_sdk", "runner"), sys.argv[1].split(",")


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in POSIX_ONLY:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def import_all():
    names = []
    for package in PACKAGES:
        names.append(package)
        folder = importlib.import_module(package).__path__
        names += [found.name for found in pkgutil.walk_packages(folder, package + ".")]
    names = [name for name in names if not name.endswith(".__main__")]
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}")
    return names


names = import_all()
for name in [*POSIX_ONLY, *(name for name in sys.modules if name.partition(".")[0] in PACKAGES)]:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
sys.platform = "win32"
import_all()
print(len(names), "modules")
"""


def imported_as_on_windows(folder: Path) -> list[str]:
    """What the program said: a line for each module that failed, then how many there are."""
    command = (sys.executable, "-B", "-c", PROGRAM, ",".join(POSIX_ONLY))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_module_can_be_imported_without_the_modules_of_posix() -> None:
    *failed, count = imported_as_on_windows(ROOT)
    assert failed == []
    assert int(count.split()[0]) > 60


def test_a_module_that_needs_posix_to_be_imported_is_reported(tmp_path: Path) -> None:
    for package in ("procvision_sdk", "runner"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "runner" / "good.py").write_text("import sys\nif sys.platform != 'win32':\n    import fcntl\n", "utf-8")
    (tmp_path / "runner" / "bad.py").write_text("import fcntl\n", "utf-8")
    (tmp_path / "runner" / "__main__.py").write_text("raise SystemExit('it ran')\n", "utf-8")
    assert imported_as_on_windows(tmp_path) == [
        "runner.bad: ModuleNotFoundError: No module named 'fcntl'",
        "4 modules",
    ]
