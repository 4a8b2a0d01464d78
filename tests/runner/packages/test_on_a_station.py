"""A real package by the commands: installed without a network, served by a daemon, taken off again (spec.md §10)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from procvision_sdk.errors import PackageError
from runner.config import StationConfig
from runner.packages.installer import Installer
from runner.packages.places import Places
from runner.packages.registry import Registry
from runner.packages.signing import new_key, public_of
from runner.probe import probe_of
from tests.doubles.daemon import inspect, serving
from tests.doubles.packages import PID, SDK_NEEDS, PackageDraft, WheelDraft, repacked, sdk_wheel

ROOT = Path(__file__).parents[3]


def real(**fields: Any) -> PackageDraft:
    """A package with what the SDK needs, and one wheel of its own."""
    tiny = WheelDraft(entry_points="[console_scripts]\ntiny = tiny:main\n")
    return PackageDraft(wheels=dict([sdk_wheel(), tiny.built(), *map(repacked, SDK_NEEDS)]), **fields)


def command(home: Path, *words: str, before: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """`procvision-runner`, with every variable set that could lead an installer elsewhere."""
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PROCVISION_HOME": str(home)}
    closed = dict.fromkeys(("http_proxy", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:1")
    misleading = {
        "PIP_INDEX_URL": "http://127.0.0.1:1",
        "UV_INDEX_URL": "http://127.0.0.1:1",
        "UV_LINK_MODE": "symlink",
    }
    done = subprocess.run(
        (*before, sys.executable, "-m", "runner.cli", *words),
        cwd=ROOT, env={**own, **closed, **misleading}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def told(home: Path, *words: str) -> dict[str, Any]:
    code, out, errors = command(home, *words, "--json")
    assert code == 0, errors
    answer: dict[str, Any] = json.loads(out)
    return answer


def without_network() -> tuple[str, ...]:
    """A network namespace with nothing in it, where this user may have one."""
    alone = ("unshare", "--net", "--map-root-user", "--user")
    if shutil.which("unshare") is None or subprocess.run((*alone, "true"), capture_output=True, check=False).returncode:
        return ()
    return alone


@pytest.mark.timeout(600)
def test_a_package_is_installed_without_a_network_serves_goes_back_and_leaves(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first, second = real().written(tmp_path), real(version="1.1.0").written(tmp_path)
    code, out, errors = command(home, "install", str(first), "--json", before=without_network())
    assert code == 0, errors
    assert json.loads(out)["package"] == "demo@1.0.0" and "demo is not signed" in errors
    assert told(home, "install", str(second))["outcome"] == "installed"
    assert told(home, "activate", PID, "demo@1.0.0")["package"] == "demo@1.0.0"
    assert told(home, "activate", PID, "demo@1.1.0")["previous"] == ["demo@1.0.0"]
    with serving(tmp_path) as daemon:
        daemon.wait_ready()
        with daemon.client() as client:
            answer = inspect(client, PID)
            assert (answer["status"], answer["deployment"]["version"]) == ("OK", "1.1.0"), answer
        assert [one["state"] for one in told(home, "list")["packages"]] == ["deployed", "running"]
        assert told(home, "rollback", PID)["package"] == "demo@1.0.0"
        with daemon.client() as client:
            assert inspect(client, PID)["deployment"]["version"] == "1.0.0"
    assert command(home, "uninstall", "demo@1.0.0")[0] == 4
    told(home, "uninstall", "demo@1.1.0")
    told(home, "deactivate", PID)
    told(home, "uninstall", "demo@1.0.0")
    assert told(home, "list") == {"packages": [], "active": [], "incoming": []}
    history = told(home, "history")
    done = [deed["operation"] for deed in history["deeds"] if deed["outcome"] == "done"]
    expected = ["install", "install", "activate", "activate", "rollback", "uninstall", "deactivate", "uninstall"]
    assert done == expected and history["first_break"] == 0


@pytest.mark.timeout(600)
def test_what_the_manifest_claims_is_tried_before_the_package_counts_as_installed(tmp_path: Path) -> None:
    lies = {
        "products": b'{**MANIFEST, "supported_pids": ["other"]}',
        "steps": b'{**MANIFEST, "steps": [{"index": 2, "name": "x", "params": []}]}',
        "dies": b"__import__('os')._exit(3)",
    }
    registry = Registry(Places(tmp_path / "home"))
    station = Installer(registry, "off", probe_of(StationConfig()))
    # The good one lends the liars what it compiled.
    station.install(real(version="0.9.0").written(tmp_path), "t")
    for name, said in lies.items():
        draft = real()
        source = draft.contents()["demo/main.py"].replace(b"return MANIFEST", b"return " + said)
        draft.files["demo/main.py"] = source
        with pytest.raises(PackageError, match="first start failed") as refused:
            station.install(draft.written(tmp_path), "t")
        assert refused.value.code == "1014", name
    assert [str(one) for one in registry.installed()] == ["demo@0.9.0"]


def test_keys_are_trusted_listed_and_forgotten_by_their_file(tmp_path: Path) -> None:
    key = tmp_path / "publisher.pub"
    key.write_bytes(public_of(new_key()))
    known = told(tmp_path / "home", "trust", "add", str(key))["key_id"]
    listed = told(tmp_path / "home", "trust", "list")
    assert listed["policy"] == "require" and [one["key_id"] for one in listed["keys"]] == [known]
    code, _, errors = command(tmp_path / "home", "install", str(PackageDraft().written(tmp_path)))
    assert code == 4 and "2008" in errors and "hint:" in errors
    assert told(tmp_path / "home", "trust", "remove", str(key))["key_id"] == known
    assert told(tmp_path / "home", "trust", "list") == {"policy": "warn", "keys": []}


def test_what_lies_in_the_watched_folder_is_listed_with_the_reason_why_it_is_no_package(tmp_path: Path) -> None:
    incoming = tmp_path / "home" / "incoming"
    PackageDraft().written(incoming)
    (incoming / "bad.zip").write_bytes(b"x")
    found = {one["file"]: one for one in told(tmp_path / "home", "list")["incoming"]}
    assert found["bad.zip"]["state"] == "invalid" and found["bad.zip"]["error_code"] == "2001"
    assert found["demo-v1.0.0-offline.zip"]["package"] == "demo@1.0.0"
    lines = [line.split() for line in command(tmp_path / "home", "list")[1].splitlines()]
    good = found["demo-v1.0.0-offline.zip"]
    assert lines[2] == ["incoming/demo-v1.0.0-offline.zip", "validated", good["digest"][:12], "demo@1.0.0"]
    assert lines[1][:3] == ["incoming/bad.zip", "invalid", "2001"]


def test_a_changed_package_is_found_and_not_served(tmp_path: Path) -> None:
    home = tmp_path / "home"
    registry = Registry(Places(home))
    Installer(registry, "off", lambda *_: None).install(PackageDraft().written(tmp_path), "t")
    registry.activate(PID, "demo@1.0.0", "t")
    assert command(home, "verify")[0] == 0
    source = registry.folder(registry.find("demo@1.0.0")) / "demo" / "main.py"
    source.chmod(0o644)
    source.write_bytes(b"x = 1\n")
    code, out, _ = command(home, "verify", "--json")
    assert code == 1 and json.loads(out)["packages"] == {"demo@1.0.0": ["demo/main.py was changed"]}
    with serving(tmp_path) as daemon:
        assert daemon.status()["products"] == {}
        assert "demo@1.0.0 was changed after it was installed (demo/main.py" in daemon.log
