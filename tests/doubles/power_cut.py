"""What a power cut may leave of files, from the trace of the calls that wrote them.

A model of a disk as strict as POSIX lets it be; half of the time names change in their order, as in a journal.
- What was written to a file since it was synced last is there, is not, or is there in any part of 512 bytes.
- A created, renamed or removed name is certain once its folder was synced; a synced file may still have no name.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.doubles.strace import LIMIT_S, ROOT

SECTOR = 512
_TRACED = "openat,pwrite64,write,ftruncate,fallocate,fsync,fdatasync,unlink,rename,close"
_LINE = re.compile(r"(?P<thread>\d+) +(?P<call>\w+)\((?P<given>.*)\) += (?P<result>-?\d+)")
_UNFINISHED = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Op:
    """`file` is the number of a file, which a rename keeps; -1 for a change of names."""

    kind: str
    file: int = -1
    place: int = 0
    data: bytes = b""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """A crash after `ops`: the files by name as they may be found, and what had been said."""

    at: int
    files: dict[str, bytes]
    lines: tuple[str, ...]


def recorded(module: str, *words: str, folder: Path) -> list[Op]:
    """What `python -m module words` does to files in `folder`, and what it says."""
    log = folder.parent / "power.strace"
    command = ["strace", "-f", "-qq", "-xx", "-s", "1000000", "-o", str(log), "-e", f"trace={_TRACED}"]
    command += [sys.executable, "-m", module, *words]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=LIMIT_S)
    return list(_Reading(folder).ops(log.read_text("ascii")))


class _Reading:
    """Turns the lines of a trace into what they did in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._open: dict[int, str] = {}
        self._files: dict[str, int] = {}
        self._next = 0

    def ops(self, trace: str) -> Iterator[Op]:
        for line in _whole_lines(trace):
            found = _LINE.match(line)
            if found is None or int(found["result"]) < 0:
                continue
            yield from self._op(found["call"], found["given"], int(found["result"]))

    def _op(self, call: str, given: str, result: int) -> Iterator[Op]:
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(given)]
        if call == "openat":
            yield from self._opened(texts[0].decode(), given, result)
            return
        if call in ("unlink", "rename"):
            yield from self._renamed(call, [text.decode() for text in texts])
            return
        descriptor = int(given.split(",")[0])
        name = self._open.get(descriptor, "")
        numbers = [int(word) for word in _TEXT.sub("", given).split(",") if word.strip().isdigit()]
        if call == "close":
            self._open.pop(descriptor, None)
        elif call == "write" and descriptor == 1:
            yield Op("said", data=texts[0])
        elif name == self._folder:
            if call in ("fsync", "fdatasync"):
                yield Op("names are synced")
        elif name.startswith(self._folder):
            yield self._changed(call, self._files[name], numbers, texts)

    def _opened(self, name: str, given: str, descriptor: int) -> Iterator[Op]:
        self._open[descriptor] = name
        if not name.startswith(f"{self._folder}/"):
            return
        if name not in self._files:
            self._files[name] = self._next
            self._next += 1
            yield Op("create", self._files[name], names=(name,))
        if "O_TRUNC" in given:
            yield Op("truncate", self._files[name], 0)

    def _renamed(self, call: str, names: list[str]) -> Iterator[Op]:
        if not names[0].startswith(f"{self._folder}/"):
            return
        file = self._files.pop(names[0])
        if call == "rename":
            self._files[names[1]] = file
            self._open = {number: names[1] if name == names[0] else name for number, name in self._open.items()}
        yield Op(call, file, names=tuple(names))

    @staticmethod
    def _changed(call: str, file: int, numbers: list[int], texts: list[bytes]) -> Op:
        match call:
            case "pwrite64":
                return Op("write", file, numbers[-1], texts[0])
            case "fsync" | "fdatasync":
                return Op("synced", file)
            case "ftruncate":
                return Op("truncate", file, numbers[-1])
            case "fallocate":
                return Op("write", file, 0, bytes(numbers[-1]))
        raise AssertionError(f"{call} is not foreseen")


def _whole_lines(trace: str) -> Iterator[str]:
    """Calls that another thread interrupted are put together, at the place of their end."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        if unfinished := _UNFINISHED.match(line):
            begun[unfinished[1]] = unfinished[2]
        elif resumed := _RESUMED.match(line):
            yield f"{resumed[1]} {begun.pop(resumed[1])}{resumed[2]}"
        else:
            yield line


def cuts(ops: Sequence[Op], at: int, chance: random.Random, tries: int) -> Iterator[Cut]:
    """What a power cut before `ops[at]` may leave: all, only what is certain, and `tries` others."""
    past = ops[:at]
    lines = tuple(line for op in past if op.kind == "said" for line in op.data.decode().splitlines())
    for _keep in (1.0, 0.0, *[0.5] * tries):
        yield Cut(at, _left(past, _keep, chance), lines)


def _left(past: Sequence[Op], share: float, chance: random.Random) -> dict[str, bytes]:
    certain_names = max((i for i, op in enumerate(past) if op.kind == "names are synced"), default=-1)
    certain = {op.file: i for i, op in enumerate(past) if op.kind == "synced"}
    names: dict[str, int] = {}
    contents: dict[int, bytearray] = {}
    in_order = chance.random() < 0.5
    names_go_on = True
    for i, op in enumerate(past):
        if op.kind in ("create", "rename", "unlink"):
            there = i < certain_names or chance.random() < _in_order(share)
            names_go_on = names_go_on and there
            if there and (names_go_on or not in_order):
                _rename(names, op)
        elif op.kind in ("write", "truncate"):
            content = contents.setdefault(op.file, bytearray())
            if i < certain.get(op.file, -1) or chance.random() < share:
                _apply(content, op)
            elif share and chance.random() < 0.5:
                _apply(content, _torn(op, chance))
    return {name: bytes(contents.get(file, b"")) for name, file in names.items()}


def _in_order(share: float) -> float:
    """How likely the next change of a name is there: they are few, and one that is not ends them."""
    return share if share in (0.0, 1.0) else 0.8


def _rename(names: dict[str, int], op: Op) -> None:
    if op.kind == "create":
        names[op.names[0]] = op.file
    elif op.names[0] in names:
        file = names.pop(op.names[0])
        if op.kind == "rename":
            names[op.names[1]] = file


def _apply(content: bytearray, op: Op) -> None:
    end = op.place + len(op.data)
    if op.kind == "truncate":
        del content[op.place :]
        content.extend(bytes(op.place - len(content)))
        return
    content.extend(bytes(max(0, end - len(content))))
    content[op.place : end] = op.data


def _torn(op: Op, chance: random.Random) -> Op:
    """The first sectors of a write, the rest is not there."""
    length = min(len(op.data), chance.randrange(0, len(op.data) + SECTOR, SECTOR))
    return Op(op.kind, op.file, op.place, op.data[:length])
