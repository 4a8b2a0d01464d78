"""Packages and wheels made on the spot: good ones, and what a draft of one becomes when a test spoils it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

import procvision_sdk
from procvision_sdk.errors import PackageError, ProcVisionError
from procvision_sdk.manifest import Manifest
from runner.packages import environment
from runner.packages.environment import Builder, StoredWheel
from runner.packages.installer import Installer
from runner.packages.listing import LISTING, SIGNATURE, ListedFile, Listing
from runner.packages.locked import Locked, to_bytes
from runner.packages.places import Places
from runner.packages.policy import Signatures
from runner.packages.registry import Registry
from runner.packages.signing import sign
from runner.packages.targets import here
from runner.packages.wheels import Wheel

PID = "p-1"
ALGORITHM = """from procvision_sdk import BaseAlgorithm

class Algorithm(BaseAlgorithm):
    def get_info(self):
        return MANIFEST

    def pre_execute(self, *args, **fields):
        return {"status": "OK", "message": "", "debug": {}}

    def execute(self, *args, **fields):
        return {"status": "OK", "data": {"result_status": "OK", "defect_rects": []}}
"""
# What the SDK itself needs, to be installed for real; repacked from the environment of the tests.
SDK_NEEDS = (
    "msgspec",
    "numpy",
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-extensions",
    "typing-inspection",
    "pillow",
)


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of regular files, in order of their names."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else method
            archive.writestr(info, files[name])
    return made.getvalue()


def record_of(files: Mapping[str, bytes], own: str) -> bytes:
    """RECORD for these files of the distribution whose .dist-info is `own`."""
    rows = []
    for name, data in sorted(files.items()):
        coded = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        rows.append(f"{name},sha256={coded},{len(data)}\n")
    return ("".join(rows) + f"{own}/RECORD,,\n").encode()


@dataclass
class WheelDraft:
    """A wheel before it is one: what a test changes here is what the wheel then says."""

    name: str = "tiny"
    version: str = "1.0"
    tag: str = "py3-none-any"
    files: dict[str, bytes] = field(default_factory=dict)
    metadata: str = ""
    wheel: str = ""
    entry_points: str = ""
    record: bytes | None = None
    filename: str = ""

    @property
    def own(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}.dist-info"

    def built(self) -> tuple[str, bytes]:
        """(file name, content)"""
        files = dict(self.files) or {f"{self.name.replace('-', '_')}/__init__.py": b"VALUE = 1\n"}
        said = self.metadata or f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n"
        files[f"{self.own}/METADATA"] = said.encode()
        said = self.wheel or f"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: {self.tag}\n"
        files[f"{self.own}/WHEEL"] = said.encode()
        if self.entry_points:
            files[f"{self.own}/entry_points.txt"] = self.entry_points.encode()
        files[f"{self.own}/RECORD"] = self.record if self.record is not None else record_of(files, self.own)
        filename = self.filename or f"{self.name.replace('-', '_')}-{self.version}-{self.tag}.whl"
        return filename, zipped(files)


@cache
def repacked(distribution_name: str) -> tuple[str, bytes]:
    """The wheel of a distribution that is installed where the tests run."""
    found = distribution(distribution_name)
    version = found.version
    stem = f"{distribution_name.replace('-', '_')}-{version}"
    files = {}
    for path in found.files or ():
        name = path.as_posix()
        if ".." in path.parts or "__pycache__" in path.parts or name.endswith((".pyc", "direct_url.json")):
            continue
        if name.endswith((".dist-info/RECORD", "/INSTALLER", "/REQUESTED", "/uv_cache.json")):
            continue
        files[name] = Path(str(found.locate_file(path))).read_bytes()
    own = next(name.partition("/")[0] for name in files if ".dist-info/" in name)
    files[f"{own}/RECORD"] = record_of(files, own)
    tags = [line[5:] for line in files[f"{own}/WHEEL"].decode().splitlines() if line.startswith("Tag: ")]
    interpreters, abis, platforms = (dict.fromkeys(parts) for parts in zip(*(t.split("-") for t in tags), strict=True))
    tag = "-".join((".".join(interpreters), ".".join(abis), ".".join(platforms)))
    return f"{stem}-{tag}.whl", zipped(files, zipfile.ZIP_STORED)


@cache
def sdk_wheel() -> tuple[str, bytes]:
    """The SDK as it lies here."""
    root = Path(procvision_sdk.__file__).parent
    files = {f"procvision_sdk/{path.relative_to(root).as_posix()}": path.read_bytes() for path in root.rglob("*.py")}
    return WheelDraft("procvision-sdk", procvision_sdk.__version__, files=files).built()


def hollow_sdk() -> tuple[str, bytes]:
    """A wheel with the SDK's name, for tests that start nothing."""
    return WheelDraft("procvision-sdk", "0.1.0", files={"procvision_sdk/__init__.py": b""}).built()


@dataclass
class PackageDraft:
    """A package before it is one."""

    name: str = "demo"
    version: str = "1.0.0"
    pids: tuple[str, ...] = (PID,)
    wheels: dict[str, bytes] = field(default_factory=lambda: dict([hollow_sdk()]))
    files: dict[str, bytes] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    requirements: str | None = None
    listing: dict[str, Any] = field(default_factory=dict)
    key: bytes = b""

    def contents(self) -> dict[str, bytes]:
        """Every file, the listing and the signature too."""
        claims = {
            "name": self.name, "version": self.version, "entry_point": "demo.main:Algorithm",
            "supported_pids": list(self.pids), "steps": [{"index": 1, "name": "inspect", "params": []}],
            **self.manifest,
        }  # fmt: skip
        Manifest.parse(json.dumps(claims), "draft")
        files = {"manifest.json": json.dumps(claims).encode(), "demo/__init__.py": b""}
        info = f"MANIFEST = {claims!r}\n\n" + ALGORITHM
        files |= {"demo/main.py": info.encode(), **self.files}
        files |= {f"wheels/{name}": data for name, data in self.wheels.items()}
        files["requirements.txt"] = (self.requirements or self.pinned()).encode()
        listed = tuple(
            ListedFile(path=name, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
            for name, data in sorted(files.items())
        )
        said = {"name": self.name, "version": self.version, "target": here().name, "python": here().python}
        told = Listing(**{**said, "created_with": "a test", "files": listed, **self.listing}).to_bytes()
        files[LISTING] = told
        if self.key:
            files[SIGNATURE] = sign(told, self.key)
        return files

    def pinned(self) -> str:
        said = ([*name.split("-")[:2], hashlib.sha256(data).hexdigest()] for name, data in self.wheels.items())
        return to_bytes(Locked(canonicalize_name(name), version, (sha256,)) for name, version, sha256 in said).decode()

    def written(self, folder: Path) -> Path:
        """The zip, in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}-v{self.version}-offline.zip"
        path.write_bytes(zipped(self.contents()))
        return path


def no_probe(_folder: Path, _interpreter: Path, _manifest: Manifest) -> None:
    """For packages that hold nothing to start."""


def installer(home: Path, signatures: Signatures = "off") -> Installer:
    """An installer of the station in `home` that starts nothing."""
    return Installer(Registry(Places(home)), signatures, no_probe)


def registry_of(station: Installer) -> Registry:
    """The registry that an installer works on."""
    return station._registry


def put(station: Installer, folder: Path, *versions: str, **fields: object) -> None:
    """Install these versions of a package."""
    for version in versions:
        draft = PackageDraft(version=version, **fields)  # type: ignore[arg-type]
        station.install(draft.written(folder / "in"), "t")


def refusal(act: Callable[[], object]) -> str:
    """The code with which a package is refused."""
    with pytest.raises(PackageError) as refused:
        act()
    assert refused.value.hint
    return refused.value.code


def folder_of(registry: Registry, label: str = "demo@1.0.0") -> Path:
    """Where a version lies."""
    return registry.folder(registry.find(label))


class Skeleton(Builder):
    """Builds what an environment looks like, without a tool: for tests of everything around it."""

    def build(
        self,
        folder: Path,
        stored: Sequence[StoredWheel],
        _work: Path,
        _lenders: Sequence[tuple[Path, str]] = (),
    ) -> tuple[Wheel, ...]:
        """A link to this interpreter, and a file for each wheel."""
        site = environment.site_packages(folder / "venv")
        site.mkdir(parents=True)
        for one in stored:
            (site / one.name).write_text(one.sha256)
        python = environment.interpreter(folder / "venv")
        python.parent.mkdir()
        python.symlink_to(sys.executable)
        return ()


def skeleton(home: Path) -> Installer:
    """An installer whose environments are skeletons."""
    made = installer(home)
    made._builder = Skeleton(None, home)
    return made


def perform(home: Path, operation: str, subject: str) -> None:
    """One operation on a station of skeletons; `subject` is a zip, or NAME@VERSION."""
    station = skeleton(home)
    match operation:
        case "install":
            station.install(Path(subject), "t")
        case "uninstall":
            station.uninstall(subject, "t")
        case "activate":
            station._registry.activate(PID, subject, "t")
        case "rollback":
            station._registry.rollback(PID, None, "t")


if __name__ == "__main__":
    try:
        perform(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    except ProcVisionError as refused:
        print(f"refused {refused.code} {refused.message}")
    else:
        print("done")
