"""Every dependency of an algorithm as a wheel for the target, resolved as on the target (spec.md §10.10).

uv decides which versions: it evaluates markers for the target, where pip takes those of the machine it runs on. pip
fetches exactly those files. Neither builds anything: what has no wheel is missing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from uv import find_uv_bin

from procvision_sdk.errors import ErrorCode, PackageError
from runner.dev.package_wanted import Wanted, requirements_in
from runner.dev.sdk_wheel import write_sdk_wheel
from runner.packages import locked, tree
from runner.packages.locked import SDK, Locked
from runner.packages.targets import Target

_LOCKED = re.compile(r"([A-Za-z0-9._-]+)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})+)")
# What uv says where no answer came: neither that there is a wheel, nor that there is none.
_UNREACHABLE = "error sending request"
_OFFLINE = "a mirror: UV_DEFAULT_INDEX and PIP_INDEX_URL; a folder of wheels: --find-links DIR --no-index"


@dataclass(frozen=True, slots=True)
class Index:
    """Where wheels are looked for: folders, and the index unless `only_folders`."""

    folders: tuple[Path, ...] = ()
    only_folders: bool = False

    @property
    def options(self) -> list[str]:
        """As uv and pip both take them."""
        found = [word for folder in self.folders for word in ("--find-links", str(folder.resolve()))]
        return [*found, "--no-index"] if self.only_folders else found


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What requirements.txt of the package says, and the wheels, if they were fetched."""

    locked: tuple[Locked, ...]
    wheels: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves for one target in a folder of its own, which it fills."""

    target: Target
    index: Index
    folder: Path

    def resolve(self, wanted: Wanted) -> Dependencies:
        """Versions and hashes only: no wheel but the SDK's is made. PackageError 2004 names what has none."""
        sdk = self._sdk()
        found = [*self._lock(wanted, sdk), locked.of_wheel(sdk, tree.sha256(sdk))]
        return Dependencies(tuple(sorted(found)), ())

    def fetch(self, wanted: Wanted) -> Dependencies:
        """With the wheels, the SDK's too. PackageError 2004 names what has none."""
        sdk = self._sdk()
        needed = self._lock(wanted, sdk)
        if needed:
            self._download(needed)
        wheels = tuple(sorted(sdk.parent.glob("*.whl"), key=lambda path: path.name))
        return Dependencies(tuple(sorted(locked.of_wheel(path, tree.sha256(path)) for path in wheels)), wheels)

    def _sdk(self) -> Path:
        folder = self.folder / "wheels"
        folder.mkdir()
        return write_sdk_wheel(folder)

    def _lock(self, wanted: Wanted, sdk: Path) -> list[Locked]:
        single = requirements_in(wanted)
        own = self.folder / "wanted.txt"
        own.write_text("\n".join([f"{SDK} @ {sdk.resolve().as_uri()}", *wanted.names, ""]), "utf-8")
        held = self.folder / "installed.txt"
        held.write_text("\n".join([*wanted.installed, ""]), "utf-8")
        inputs = [str(own), *([str(wanted.file)] if wanted.file is not None else [])]
        ended = self._compile([*inputs, "--constraints", str(held)])
        if _UNREACHABLE in ended.stderr:
            raise _refused("the index cannot be asked", f"{' '.join(ended.stderr.split()):.600}; {_OFFLINE}")
        if ended.returncode != 0:
            raise self._missing(single, ended.stderr)
        return [_parsed(line) for line in _lines(ended.stdout)]

    def _compile(self, inputs: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [find_uv_bin(), "pip", "compile", *inputs, *self.index.options]
        command += ["--python", sys.executable, "--python-version", self.target.python]
        command += ["--python-platform", self.target.resolver_platform, "--only-binary", ":all:", "--generate-hashes"]
        command += ["--no-emit-package", SDK, "--no-header", "--no-annotate", "--quiet", "--color", "never"]
        return self._run(command)

    def _missing(self, single: list[Requirement], told: str) -> PackageError:
        """Each requirement that cannot be had by itself; where each can, why not all together."""
        alone = self.folder / "alone.txt"
        names = []
        for one in single:
            alone.write_text(f"{one}\n", "utf-8")
            if self._compile([str(alone), "--no-deps"]).returncode != 0:
                names.append(str(one))
        where = f"{self.target.platform}, Python {self.target.python}"
        said = " ".join(told.split())
        if names:
            return _refused(f"no wheel for {where}: {', '.join(names):.1000}", f"{said:.600}; {_OFFLINE}")
        return _refused(f"the requirements cannot be met for {where}", f"{said:.600}; {_OFFLINE}")

    def _download(self, needed: Sequence[Locked]) -> None:
        ended = self._pip(needed)
        if ended.returncode == 0:
            return
        names = [str(one) for one in needed if self._pip([one]).returncode != 0]
        where = f"{self.target.platform}, Python {self.target.python}"
        said = " ".join(ended.stderr.split())
        raise _refused(f"cannot be fetched for {where}: {', '.join(names)[:1000]}", f"{said:.600}; {_OFFLINE}")

    def _pip(self, needed: Sequence[Locked]) -> subprocess.CompletedProcess[str]:
        """Exactly these files: pip refuses any other by its hash."""
        file = self.folder / "fetch.txt"
        file.write_bytes(locked.to_bytes(needed))
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        command += ["--python-version", self.target.python, "--implementation", "cp", "--abi", self.target.abi]
        command += [word for one in self.target.platforms for word in ("--platform", one)]
        command += [*self.index.options, "--disable-pip-version-check", "--quiet"]
        return self._run([*command, "--dest", str(self.folder / "wheels"), "--requirement", str(file)])

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        # Not in the project's folder: its pyproject.toml is not ours to follow.
        # The certificates of the system, as pip has them: those of a company's proxy lie there, and nowhere else.
        environment = {"UV_SYSTEM_CERTS": "true", **os.environ, **self.target.resolver_environment}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )


def _lines(compiled: str) -> list[str]:
    joined = compiled.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith(("#", "--"))]


def _parsed(line: str) -> Locked:
    found = _LOCKED.fullmatch(line)
    if found is None:
        raise _refused(
            f"requirements: expected versions of an index, got {line:.200}",
            "paths, URLs and editable installs cannot go to a station: build a wheel and give its folder: --find-links",
        )
    return Locked(found[1], found[2], tuple(re.findall(r"[0-9a-f]{64}", found[3])))


def _refused(what: str, hint: str) -> PackageError:
    return PackageError(what, hint=hint, code=ErrorCode.WHEELS_MISSING)
