"""Wheels for tests that package without an index: small ones made up, and real ones out of what is installed here."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

PURE = "py3-none-any"
# What the SDK needs, as far as a resolver looks: each a module and no more.
SDK_NEEDS = ("msgspec==0.20.0", "numpy==2.0.0", "pillow==11.0.0", "pydantic==2.10.0")


def make_wheel(folder: Path, pinned: str, tag: str = PURE, requires: Sequence[str] = ()) -> Path:
    """A wheel of `name==version` with one empty module, its RECORD right."""
    name, _, version = pinned.partition("==")
    told = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        *(f"Requires-Dist: {one}\n" for one in requires),
    ]
    files = {f"{name}/__init__.py": b"", f"{name}-{version}.dist-info/METADATA": "".join(told).encode()}
    return _write(folder, f"{name}-{version}", tag, files)


def make_index(folder: Path, *wheels: Path) -> Path:
    """A folder with what the SDK needs, and whatever else was made into it."""
    folder.mkdir(exist_ok=True)
    for pinned in SDK_NEEDS:
        make_wheel(folder, pinned)
    for wheel in wheels:
        wheel.rename(folder / wheel.name)
    return folder


def repack(folder: Path, *names: str) -> Path:
    """Real wheels of distributions that are installed here, in the folder."""
    folder.mkdir(exist_ok=True)
    for name in names:
        installed = metadata.distribution(name)
        own = {"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json"}
        files = {
            file.as_posix(): Path(str(file.locate())).read_bytes()
            for file in installed.files or ()
            if file.suffix != ".pyc" and ".." not in file.parts and not (_is_info(file.parts) and file.name in own)
        }
        tags = [
            line.removeprefix("Tag: ") for line in (installed.read_text("WHEEL") or "").splitlines() if "Tag" in line
        ]
        python, abi, _ = tags[0].split("-")
        platforms = ".".join(sorted({tag.split("-")[2] for tag in tags}))
        stem = next(file.parts[0] for file in installed.files or () if _is_info(file.parts))
        _write(folder, stem.removesuffix(".dist-info"), f"{python}-{abi}-{platforms}", files)
    return folder


def _is_info(parts: tuple[str, ...]) -> bool:
    return parts[0].endswith(".dist-info")


def _write(folder: Path, stem: str, tag: str, files: Mapping[str, bytes]) -> Path:
    own = f"{stem}.dist-info"
    python, abi, platforms = tag.split("-")
    tags = "".join(f"Tag: {python}-{abi}-{one}\n" for one in platforms.split("."))
    content = {**files, f"{own}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n{tags}".encode()}
    rows = [f"{name},sha256={_coded(data)},{len(data)}\n" for name, data in sorted(content.items())]
    content[f"{own}/RECORD"] = "".join([*rows, f"{own}/RECORD,,\n"]).encode()
    path = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in content.items():
            wheel.writestr(zipfile.ZipInfo(name), data)
    return path


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
