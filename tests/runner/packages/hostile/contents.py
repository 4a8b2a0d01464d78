"""Packages whose archive is sound and whose content is not: listing, requirements, wheels that do not belong."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator

from runner.packages.listing import LISTING, SIGNATURE
from runner.packages.signing import new_key
from tests.doubles.packages import PackageDraft, WheelDraft, hollow_sdk, zipped
from tests.runner.packages.hostile.archives import Hostile

SHA = "0" * 64


def changed(change: Callable[[dict[str, bytes]], None]) -> Callable[[], bytes]:
    """A good package with its files changed after they were listed."""

    def made() -> bytes:
        files = PackageDraft().contents()
        change(files)
        return zipped(files)

    return made


def stored(name: str, data: bytes) -> Callable[[], bytes]:
    """As `put`, not compressed: what is repeated a million times is no bomb then."""
    return lambda: zipped({**PackageDraft().contents(), name: data}, zipfile.ZIP_STORED)


def drafted(**fields: object) -> Callable[[], bytes]:
    return lambda: zipped(PackageDraft(**fields).contents())  # type: ignore[arg-type]


def put(name: str, data: bytes) -> Callable[[], bytes]:
    return changed(lambda files: files.update({name: data}))


def dropped(name: str) -> Callable[[], bytes]:
    return changed(lambda files: [files.pop(name)])  # type: ignore[arg-type]


def wheels(*drafts: WheelDraft) -> dict[str, bytes]:
    return dict([hollow_sdk(), *(one.built() for one in drafts)])


def listings() -> Iterator[Hostile]:
    """D9, D17: what is listed and what is there."""
    yield Hostile("no listing", dropped(LISTING), ("2001",))
    yield Hostile("listing is no JSON", put(LISTING, b"{"), ("2001",))
    yield Hostile("listing is deep", stored(LISTING, b"[" * 2_000_000), ("2001",))
    yield Hostile("listing is wide", stored(LISTING, b"[" + b"{}," * 870_000 + b"{}]"), ("2001",))
    yield Hostile("listing is too large", stored(LISTING, b" " * (5 << 20)), ("2001",))
    yield Hostile("listing in another spelling", changed(lambda f: f.update({LISTING: f[LISTING] + b"\n"})), ("2001",))
    yield Hostile("no manifest", dropped("manifest.json"), ("2002", "2009"))
    yield Hostile("no requirements", dropped("requirements.txt"), ("2001", "2009"))
    yield Hostile("an unlisted file", put("demo/extra.py", b"x"), ("2010",))
    yield Hostile("a listed file is missing", dropped("demo/__init__.py"), ("2009",))
    yield Hostile("another manifest of the same size", changed(_swap_manifest), ("2009",))
    yield Hostile("another source of the same size", changed(_swap_source), ("2009",))
    yield Hostile("a longer source", put("demo/main.py", b"x = 1\n" * 1000), ("2009",))
    other = ({"name": "other"}, {"version": "9.9"})
    for said in other:
        yield Hostile(f"listing says {said}", drafted(listing=said), ("2002",))
    yield Hostile("made for another system", drafted(listing={"target": "win-amd64"}), ("2003",))
    yield Hostile("made for another Python", drafted(listing={"python": "3.8"}), ("2003",))
    yield Hostile("wants another Python", drafted(manifest={"requires_python": ">=3.99"}), ("2003",))
    yield Hostile("wants another SDK", drafted(manifest={"sdk": ">=99"}), ("2003",))
    missing = {"p-1": {"model": "assets/model.bin"}}
    yield Hostile("an asset is missing", drafted(manifest={"required_assets": missing}), ("2002",))


def _swap_manifest(files: dict[str, bytes]) -> None:
    files["manifest.json"] = files["manifest.json"].replace(b"inspect", b"INSPECT")


def _swap_source(files: dict[str, bytes]) -> None:
    files["demo/main.py"] = files["demo/main.py"].replace(b"OK", b"NG")


LINES = [
    "-r other.txt", "-e .", "--index-url https://example.org/simple", "--extra-index-url https://example.org",
    "--find-links /tmp", "--no-index", "--trusted-host x", "tiny", "tiny>=1.0", f"tiny==1.* --hash=sha256:{SHA}",
    "tiny==1.0", "tiny==1.0 --hash=md5:d41d8cd98f00b204e9800998ecf8427e", f"tiny[extra]==1.0 --hash=sha256:{SHA}",
    f"tiny==1.0; sys_platform == 'linux' --hash=sha256:{SHA}", f"tiny==1.0 --hash=sha256:{SHA} --pre",
    "tiny @ https://example.org/tiny-1.0-py3-none-any.whl", "git+https://example.org/tiny.git#egg=tiny",
    "./wheels/tiny-1.0-py3-none-any.whl", "# a comment", f"tiny==1.0 \\\n --hash=sha256:{SHA}", "${HOME}==1.0",
    f" tiny==1.0 --hash=sha256:{SHA}", f"tiny==1.0\t--hash=sha256:{SHA}", f"tiny==1.0 --hash=sha256:{SHA}\r",
    f"tiny==1.0 --hash=sha256:{SHA}\ntiny==1.0 --hash=sha256:{SHA}", f"tіny==1.0 --hash=sha256:{SHA}",
]  # fmt: skip


def requirements() -> Iterator[Hostile]:
    """D10: only `name==version --hash=sha256:...` is a requirement."""
    pinned = PackageDraft().pinned()
    for number, line in enumerate(LINES):
        yield Hostile(f"requirement {number} {line[:24]!a}", drafted(requirements=f"{pinned}{line}\n"), ("2010",))


def dependencies() -> Iterator[Hostile]:
    """D7, D8, D9: the wheels are those that are required, for this interpreter, and wheels at all."""
    need = f"{PackageDraft().pinned()}tiny==1.0 --hash=sha256:{SHA}\n"
    yield Hostile("a wheel is missing", drafted(requirements=need), ("2004",))
    yield Hostile("no wheels at all", drafted(wheels={}), ("2004",))
    yield Hostile("the SDK is missing", drafted(wheels=dict([WheelDraft().built()])), ("2004",))
    tiny = wheels(WheelDraft())
    yield Hostile("a wheel nobody asked for", drafted(wheels=tiny, requirements=PackageDraft().pinned()), ("2010",))
    yield Hostile(
        "a wheel of another version", drafted(wheels=wheels(WheelDraft(version="2.0")), requirements=need), ("2004",)
    )
    yield Hostile("a wheel with another hash", drafted(wheels=tiny, requirements=need), ("2009",))
    two = wheels(WheelDraft(), WheelDraft(version="2.0"))
    yield Hostile("two versions of one", drafted(wheels=two), ("2010",))
    for tag in ("cp27-cp27m-win32", "py2-none-any", "cp311-cp311-win_amd64", "cp39-cp39-linux_armv7l"):
        yield Hostile(f"tag {tag}", drafted(wheels=wheels(WheelDraft(tag=tag)), requirements=None), ("2004",))
    source = b"raise SystemExit('setup.py ran')"
    for name in ("tiny-1.0.tar.gz", "tiny-1.0.zip", "setup.py", "pyproject.toml", "tiny.whl", "tiny-1.0.whl"):
        files = {f"wheels/{name}": source}
        yield Hostile(f"wheels/{name}", drafted(files=files), ("2010",))
    nested = {f"wheels/deep/{WheelDraft().built()[0]}": WheelDraft().built()[1]}
    yield Hostile("a wheel in a folder", drafted(files=nested), ("2010",))


def signatures() -> Iterator[Hostile]:
    """D15, D16: each is installed where a key is trusted; see `policy` of the table test."""
    stranger = new_key()
    yield Hostile("signed: by nobody", drafted(name="demo"), ("2008",))
    yield Hostile("signed: by a stranger", drafted(key=stranger), ("2008",))
    yield Hostile("signed: no JSON", put(SIGNATURE, b"hello"), ("2008",))
    yield Hostile("signed: too large", put(SIGNATURE, b" " * 100_000), ("2001", "2008"))
    other = hashlib.sha256(b"x").hexdigest()[:16].encode()
    told = b'{"algorithm":"none","key_id":"' + other + b'","signature":""}'
    yield Hostile("signed: by no algorithm", put(SIGNATURE, told), ("2008",))
