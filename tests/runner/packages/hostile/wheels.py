"""Wheels that are not what they say, or reach beyond what is theirs; each in an otherwise good package."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

from tests.doubles.packages import WheelDraft, zipped
from tests.runner.packages.hostile.archives import Hostile, Raw, archive, bomb
from tests.runner.packages.hostile.contents import drafted, wheels

OUT = b"open('/tmp/procvision-hostile-ran', 'w')\n"
RUNNING = [
    "evil.pth", "Evil.PTH", "sitecustomize.py", "usercustomize.py", "sitecustomize/__init__.py", "SiteCustomize.py",
    "usercustomize.cpython-311-x86_64-linux-gnu.so",
    "tiny-1.0.data/purelib/evil.pth", "tiny-1.0.data/platlib/sitecustomize.py",
]  # fmt: skip
ELSEWHERE = [
    "tiny-1.0.data/data/etc/evil", "tiny-1.0.data/scripts/python3", "tiny-1.0.data/scripts/pip",
    "other-2.0.data/scripts/x",
    "tiny-1.0.data/scripts/activate", "tiny-1.0.data/scripts/python", "tiny-1.0.data/unknown/x",
    "procvision_sdk/evil.py",
    "tiny-1.0.data/purelib/procvision_sdk/evil.py", "tiny-1.0.data/scripts/sub/../../../evil", "../evil.py", "/evil.py",
]  # fmt: skip
ENTRY_POINTS = [
    "python = tiny:main", "python3.11 = tiny:main", "pip3 = tiny:main", "activate = tiny:main", "../evil = tiny:main",
    "a/b = tiny:main", "x = tiny:main;import os", "x = tiny:__import__('os').system('id')", "x = os.system",
    "x y = tiny:main",
    "x = ", "-c = tiny:main", "x = tiny:main\n[ Console_Scripts ]\npython = tiny:main", "uv = tiny:main",
]  # fmt: skip


def one(draft: WheelDraft) -> object:
    return drafted(wheels=wheels(draft))


def running() -> Iterator[Hostile]:
    """D11: what an interpreter would run at its start, and what is written elsewhere."""
    for name in (*RUNNING, *ELSEWHERE):
        yield Hostile(f"wheel with {name}", drafted(wheels=wheels(WheelDraft(files={name: OUT}))), ("2010",))
    for line in ENTRY_POINTS:
        draft = WheelDraft(entry_points=f"[console_scripts]\n{line}\n")
        yield Hostile(f"script {line[:40]!a}", drafted(wheels=wheels(draft)), ("2010",))
    first, second = WheelDraft("one", files={"shared/x.py": b"1"}), WheelDraft("two", files={"Shared/X.py": b"2"})
    yield Hostile("two wheels own one path", drafted(wheels=wheels(first, second)), ("2010",))
    lines = "[console_scripts]\nrun = a:b\n"
    scripts = WheelDraft("one", entry_points=lines), WheelDraft("two", entry_points=lines)
    yield Hostile("two wheels own one script", drafted(wheels=wheels(*scripts)), ("2010",))


def lying() -> Iterator[Hostile]:
    """D7, D11: METADATA, WHEEL and RECORD that say something else."""
    said = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n"
    drafts = {
        "metadata of another name": WheelDraft(metadata=said.format("other", "1.0")),
        "metadata of another version": WheelDraft(metadata=said.format("tiny", "2.0")),
        "metadata without a version": WheelDraft(metadata="Metadata-Version: 2.1\nName: tiny\n"),
        "metadata with two names": WheelDraft(metadata=said.format("tiny", "1.0") + "Name: other\n"),
        "no metadata": WheelDraft(metadata="\n"),
        "tags of another wheel": WheelDraft(wheel="Wheel-Version: 1.0\nTag: cp27-cp27m-win32\n"),
        "no tags": WheelDraft(wheel="Wheel-Version: 1.0\n"),
        "file name of another": WheelDraft(filename="other-1.0-py3-none-any.whl"),
        "file name of another version": WheelDraft(filename="tiny-2.0-py3-none-any.whl"),
        "empty record": WheelDraft(record=b""),
        "record of three words": WheelDraft(record=b"hello\n"),
        "record of wrong hashes": WheelDraft(record=_record("sha256=" + "A" * 43)),
        "record of weak hashes": WheelDraft(record=_record("md5=1B2M2Y8AsgTpgAmY7PhCfg")),
        "record without hashes": WheelDraft(record=_record("")),
        "record names what is not there": WheelDraft(record=_record("sha256=x", "ghost.py")),
        "record names a file twice": WheelDraft(record=_record("") + _record("")),
        "a second dist-info": WheelDraft(files={"other-1.0.dist-info/METADATA": b"Name: other\nVersion: 1.0\n"}),
    }
    for name, draft in drafts.items():
        yield Hostile(name, drafted(wheels=wheels(draft)), ("2010",))
    name = WheelDraft().built()[0]
    yield Hostile("a wheel that is no zip", drafted(wheels=_as(name, b"hello")), ("2001",))
    yield Hostile("an empty wheel", drafted(wheels=_as(name, zipped({}))), ("2001", "2010"))
    yield Hostile("a wheel that is a bomb", lambda: drafted(wheels=_as(name, bomb(60 << 20)))(), ("2010",))
    link = archive([Raw(b"tiny/link", b"/etc/passwd", mode=0o120777)])
    yield Hostile("a wheel with a link", drafted(wheels=_as(name, link)), ("2010",))
    yield Hostile(
        "a wheel with bytes before", drafted(wheels=_as(name, b"#!/bin/sh\n" + WheelDraft().built()[1])), ("2010",)
    )
    yield Hostile("a wheel with a file twice", drafted(wheels=_as(name, _twice())), ("2010",))


def _record(digest: str, *names: str) -> bytes:
    own = WheelDraft().own
    rows = ["tiny/__init__.py", f"{own}/METADATA", f"{own}/WHEEL", *names]
    return ("".join(f"{name},{digest},\n" for name in rows) + f"{own}/RECORD,,\n").encode()


def _as(filename: str, data: bytes) -> dict[str, bytes]:
    return {**wheels(), filename: data}


def _twice() -> bytes:
    made = io.BytesIO(WheelDraft().built()[1])
    with zipfile.ZipFile(made, "a") as archive_:
        info = zipfile.ZipInfo("tiny/__init__.PY")
        archive_.writestr(info, OUT)
    return made.getvalue()
