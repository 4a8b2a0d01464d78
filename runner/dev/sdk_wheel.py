"""The SDK as a wheel of its own, written from the installed files: offline, also from a checkout (spec.md §10.13).

An algorithm's environment gets procvision_sdk and what it needs, never the runner. Stored and not compressed, so that
the same files give the same bytes wherever they are packed.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

import procvision_sdk
from procvision_sdk.errors import ProcVisionError

_DISTRIBUTION = "procvision"
_PACKAGE = "procvision_sdk"
_TAG = "py3-none-any"
_TIME = (1980, 1, 1, 0, 0, 0)


def write_sdk_wheel(folder: Path) -> Path:
    """`procvision_sdk-<version>-py3-none-any.whl` in the folder. ProcVisionError when procvision is not installed."""
    version = procvision_sdk.__version__
    own = f"{_PACKAGE}-{version}.dist-info"
    files = _sources()
    files[f"{own}/METADATA"] = _metadata(version)
    files[f"{own}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: procvision\nRoot-Is-Purelib: true\nTag: {_TAG}\n".encode()
    files[f"{own}/RECORD"] = _record(files, f"{own}/RECORD")
    path = folder / f"{_PACKAGE}-{version}-{_TAG}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as wheel:
        for name, content in sorted(files.items(), key=lambda one: (".dist-info/" in one[0], one[0])):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            wheel.writestr(entry, content)
    return path


def _sources() -> dict[str, bytes]:
    root = Path(procvision_sdk.__file__).parent
    paths = (path for path in root.rglob("*") if path.suffix == ".py" or path.name == "py.typed")
    return {f"{_PACKAGE}/{path.relative_to(root).as_posix()}": path.read_bytes() for path in paths}


def _metadata(version: str) -> bytes:
    try:
        installed = metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise ProcVisionError(
            f"{_DISTRIBUTION} is not installed in this interpreter, so what the SDK needs is not known",
            hint="install it, also editable: pip install -e .",
        ) from None
    needed = [one for one in map(Requirement, installed.requires or []) if "extra" not in str(one.marker or "")]
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {_PACKAGE.replace('_', '-')}",
        f"Version: {version}",
        "Summary: What inspection algorithms are written with",
        f"Requires-Python: {installed.metadata['Requires-Python']}",
        *sorted(f"Requires-Dist: {one}" for one in needed),
    ]
    return ("\n".join(lines) + "\n").encode()


def _record(files: dict[str, bytes], own: str) -> bytes:
    rows = [f"{name},sha256={_coded(content)},{len(content)}" for name, content in sorted(files.items())]
    return ("\n".join([*rows, f"{own},,"]) + "\n").encode()


def _coded(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
