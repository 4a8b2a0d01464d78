"""One virtual environment per installed version, built from the package's own wheels only (spec.md §10).

uv where it is installed: environments then share their files with its cache in the station's folder, so that the second
package with the same heavy wheels costs little. Else venv and the runner's pip. Both are told every way not to look
elsewhere: no index, no configuration, no variables, hashes required, wheels only.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from procvision_sdk.errors import ErrorCode, PackageError
from runner.packages import tree, wheels
from runner.packages.behind import behind, creation, read_and_write_last
from runner.packages.places import ENVIRONMENT
from runner.packages.wheels import Wheel

# An installation of gigabytes from a slow disk; whatever takes longer hangs.
LIMIT_S = 600.0
_SHOWN_BYTES = 2000
# Of the runner's environment; no variable that configures an installer, no proxy, no token.
_PASSED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "COMSPEC", "PATHEXT")


@dataclass(frozen=True, slots=True)
class StoredWheel:
    """A wheel in the station's store, whose name and content were checked."""

    name: str
    path: Path
    sha256: str

    def requirement(self) -> str:
        return f"{self.name} @ {self.path.as_uri()} --hash=sha256:{self.sha256}"


@dataclass(frozen=True, slots=True)
class Builder:
    """How environments are built here. `uv` is its program, None builds with venv and pip."""

    uv: Path | None
    cache: Path

    @classmethod
    def found(cls, cache: Path) -> Builder:
        """With uv when it lies beside the runner's interpreter or on PATH."""
        search = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        program = shutil.which("uv", path=search)
        return cls(Path(program) if program else None, cache)

    def build(
        self, folder: Path, stored: Sequence[StoredWheel], work: Path, lenders: Sequence[tuple[Path, str]] = ()
    ) -> tuple[Wheel, ...]:
        """The environment `folder`/venv with these wheels; what they brought. `work` is a scratch folder.

        `lenders` are installed folders, each with the SHA-256 of its list, whose compiled files may be shared.

        PackageError 2010 when a wheel is not good, 2005 when the tools fail; `folder` is then the caller's to remove.
        """
        found = wheels.inspect_all(one.path for one in stored)
        wanted = work / "requirements.txt"
        wanted.write_text("".join(f"{one.requirement()}\n" for one in stored), "utf-8")
        environment = folder / ENVIRONMENT
        if self.uv is not None:
            self._with_uv(self.uv, environment, wanted, work)
        else:
            self._with_pip(environment, wanted, work)
        for lender, tree_sha256 in lenders:
            _borrow_bytecode(folder, lender, tree_sha256)
        sources = (site_packages(environment), folder)
        # Without -m compileall each start of a worker would compile anew: nothing may be written there later.
        quiet = ("-I", "-S", "-B", "-m", "compileall", "-q", *map(str, sources))
        _run((str(interpreter(environment)), *quiet), work, tolerated=1)
        return found

    def _with_uv(self, uv: Path, environment: Path, wanted: Path, work: Path) -> None:
        closed = ("--quiet", "--offline", "--no-config", "--no-python-downloads", "--cache-dir", str(self.cache))
        _run((str(uv), "venv", *closed, "--no-project", "--python", _base(), str(environment)), work)
        install = (str(uv), "pip", "install", *closed, "--python", str(interpreter(environment)))
        sources = ("--no-index", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(wanted))
        _run((*install, "--link-mode", "hardlink", *sources), work)

    def _with_pip(self, environment: Path, wanted: Path, work: Path) -> None:
        if importlib.util.find_spec("pip") is None:
            raise _failed("neither uv nor pip is there to build an environment", "install uv beside the runner")
        _run((_base(), "-I", "-m", "venv", "--without-pip", str(environment)), work)
        install = (sys.executable, "-I", "-m", "pip", "--isolated", "--disable-pip-version-check", "--quiet")
        sources = ("--no-index", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir")
        _run(
            (
                *install,
                "--python",
                str(interpreter(environment)),
                "install",
                *sources,
                "--no-compile",
                "-r",
                str(wanted),
            ),
            work,
        )


def interpreter(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def site_packages(environment: Path) -> Path:
    """Where a virtual environment of this interpreter keeps its packages."""
    if sys.platform == "win32":
        return environment / "Lib" / "site-packages"
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def check(folder: Path, tree_sha256: str, found: Sequence[Wheel]) -> None:
    """PackageError 2009 when an installed file is not the one in its wheel: the shared files were changed.

    Bytecode that a wheel brings is not looked at: it is compiled anew from its source, which is.
    """
    site = site_packages(folder / ENVIRONMENT).relative_to(folder).as_posix()
    there = tree.digests(folder, tree_sha256)
    for wheel in found:
        for place, digest in wheel.digests.items():
            made_anew = place.endswith("/RECORD") or ("/__pycache__/" in place and place.endswith(".pyc"))
            if not made_anew and there.get(f"{site}/{place}") != digest:
                raise PackageError(
                    f"{place} was not installed as {wheel.filename} holds it",
                    hint="a shared file was changed; install again",
                    code=ErrorCode.HASH_MISMATCH,
                )


def _borrow_bytecode(folder: Path, lender: Path, tree_sha256: str) -> None:
    """Link what another environment compiled of the very same files: compiling is half of an installation."""
    site = site_packages(folder / ENVIRONMENT).relative_to(folder).as_posix()
    with suppress(PackageError, OSError):  # then it is compiled here
        for path, digest in tree.digests(lender, tree_sha256).items():
            if not (path.startswith(site) and path.endswith(".pyc")):
                continue
            module = Path(path).parent.parent / f"{Path(path).name.partition('.')[0]}.py"
            own, target = folder / module, folder / path
            if not own.exists() or target.exists() or not own.samefile(lender / module):
                continue
            if tree.sha256(lender / path) == digest:
                target.parent.mkdir(exist_ok=True)
                target.hardlink_to(lender / path)


def _base() -> str:
    """The interpreter that the runner's own environment was made from: it outlives that environment."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _run(command: Sequence[str], work: Path, tolerated: int = 0) -> None:
    """Run a tool behind everything else that the station does; PackageError 2005 tells what it said last."""
    own = {name: os.environ[name] for name in _PASSED if name in os.environ}
    own |= {"HOME": str(work), "USERPROFILE": str(work), "PYTHONDONTWRITEBYTECODE": "1"}
    log = work / "tool.log"
    with log.open("w+b") as said:
        with subprocess.Popen(
            behind(command),
            cwd=work,
            env=own,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            creationflags=creation(),
        ) as process:
            read_and_write_last(process.pid)
            try:
                code = process.wait(LIMIT_S)
            except BaseException as error:
                process.kill()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise _failed(f"{command[0]} took longer than {LIMIT_S:.0f} s") from None
                raise
        if code not in (0, tolerated):
            said.seek(max(0, said.tell() - _SHOWN_BYTES))
            told = said.read().decode("utf-8", "replace").strip()
            raise _failed(f"{Path(command[0]).name} ended with {code}: {told or 'without a word'}")


def _failed(text: str, hint: str = "see the message; versions installed before are untouched") -> PackageError:
    return PackageError(text, hint=hint, code=ErrorCode.INSTALL_FAILED)
