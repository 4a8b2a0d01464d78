"""`procvision init`: a project that runs and validates as written (spec.md §11.2)."""

from __future__ import annotations

import json
import keyword
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from procvision_sdk.errors import ErrorCode, ManifestError
from procvision_sdk.json_value import JsonValue
from procvision_sdk.manifest import FILE_NAME, Manifest
from runner.dev.project import UsageError

# A package of one of these names would hide a module that the algorithm or the adapter needs.
_TAKEN = sys.stdlib_module_names | {"cv2", "numpy", "PIL", "procvision_sdk", "pydantic", "pytest", "runner", "tests"}
ENVIRONMENT_FILE = ".procvision_env.json"
_SAMPLE_SIZE = (480, 640)


@dataclass(frozen=True, slots=True)
class InitPlan:
    """What was typed; `folder` is the project's own, by default one with its name."""

    name: str
    folder: Path
    pids: tuple[str, ...]
    version: str
    description: str

    @property
    def package(self) -> str:
        """The importable name."""
        name = self.name.replace("-", "_")
        return name if name.isidentifier() else f"algorithm_{name}"

    @property
    def class_name(self) -> str:
        return "".join(part.capitalize() for part in self.package.split("_"))


def init(asked: InitPlan) -> list[Path]:
    """Write the project; its files. UsageError when a name cannot be used or a file is there already: then none is."""
    manifest = _manifest(asked)
    package = asked.package
    if package in _TAKEN or keyword.iskeyword(package):
        raise UsageError(
            f"NAME: a package named {package!r} would hide Python's or the SDK's own",
            hint=f"choose another name, such as {asked.name}-inspection",
        )
    files: dict[str, bytes] = {
        FILE_NAME: _json(manifest),
        f"{package}/__init__.py": _from_template("__init__.py.jinja", asked),
        f"{package}/main.py": _from_template("main.py.jinja", asked),
        "requirements.txt": f"numpy=={version('numpy')}\n".encode(),
        "tests/conftest.py": _from_template("conftest.py.jinja", asked),
        "tests/test_main.py": _from_template("test_main.py.jinja", asked),
        "samples/ok.png": _png(sample_image()),
        "samples/ng.png": _png(with_bright_spot(sample_image())),
        ENVIRONMENT_FILE: _json(target_environment()),
    }
    return _write(asked.folder, files)


def _manifest(asked: InitPlan) -> dict[str, JsonValue]:
    manifest: dict[str, JsonValue] = {
        "name": asked.name,
        "version": asked.version,
        "description": asked.description,
        "entry_point": f"{asked.package}.main:{asked.class_name}",
        "supported_pids": list(asked.pids),
        "requires_python": f">={sys.version_info.major}.{sys.version_info.minor}",
        "steps": [{"index": 1, "name": "find bright spots", "params": [_THRESHOLD]}],
    }
    try:
        Manifest.parse(json.dumps(manifest), "init")
    except ManifestError as error:
        raise UsageError(error.message, hint=error.hint or _HINT) from None
    return manifest


_HINT = "names are lower case: letters, digits, dash, underscore; product ids: letters, digits, . _ : -"
_THRESHOLD: dict[str, JsonValue] = {
    "key": "threshold",
    "type": "int",
    "default": 230,
    "min": 1,
    "max": 255,
    "description": "Grey level from which a pixel counts as bright.",
}


def target_environment() -> dict[str, JsonValue]:
    """What packages are made for: this interpreter and machine."""
    major, minor = sys.version_info[:2]
    implementation = "cp" if platform.python_implementation() == "CPython" else "pp"
    machine = platform.machine().lower()
    wheels = {"win32": "win_amd64", "darwin": f"macosx_14_0_{machine}"}
    return {
        "python_version": f"{major}.{minor}",
        "implementation": implementation,
        "abi": f"{implementation}{major}{minor}",
        "wheels_platform": wheels.get(sys.platform, f"manylinux_2_28_{machine}"),
    }


def sample_image() -> NDArray[np.uint8]:
    """(480, 640, 3) uint8 RGB: a grey part on a dark ground, with sensor noise; the same every time."""
    height, width = _SAMPLE_SIZE
    level = np.full(_SAMPLE_SIZE, 40.0)
    level[60 : height - 60, 80 : width - 80] = 120.0
    level += np.random.default_rng(1).normal(0.0, 4.0, _SAMPLE_SIZE)
    grey = np.clip(level, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def with_bright_spot(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy with what the generated algorithm reports as NG: a bright spot of 24 pixels across."""
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    spotted = image.copy()
    spotted[(rows - 200) ** 2 + (columns - 420) ** 2 <= 12**2] = 250
    return spotted


def _png(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    encoded = BytesIO()
    Image.fromarray(image).save(encoded, "PNG")
    return encoded.getvalue()


def _json(value: dict[str, JsonValue]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _from_template(name: str, asked: InitPlan) -> bytes:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Python source, not HTML: nothing typed by a user goes into it but names that were checked.
    environment = Environment(loader=PackageLoader("runner.dev"), undefined=StrictUndefined, keep_trailing_newline=True)
    text = environment.get_template(name).render(package=asked.package, class_name=asked.class_name, pid=asked.pids[0])
    return text.encode()


def _write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    there = sorted(name for name in files if (folder / name).exists())
    if there:
        more = f" and {len(there) - 3} more files are" if len(there) > 3 else " is" if len(there) == 1 else " are"
        message = f"{folder}: {', '.join(there[:3])}{more} there already: nothing was written"
        raise UsageError(message, hint="choose another folder with -d")
    written = []
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}", code=ErrorCode.DISK) from None
        written.append(path)
    return written
