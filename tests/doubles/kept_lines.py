"""What a store must hold, judged by what `tests.doubles.whole_write_path` said before it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runner.results.reading import Reader
from tests.doubles.result_rows import answer_to, plan_of, writing


def must_be_kept(lines: Sequence[str]) -> set[str]:
    """The ids of all answers that were told to be kept, but for those between the backup and the damage."""
    kept: set[str] = set()
    in_backup: set[str] = set()
    backing_up: set[str] = set()
    for line in lines:
        word, _, request_id = line.partition(" ")
        match line:
            case "backing up":
                backing_up = set(kept)
            case "backed up":
                in_backup = set(backing_up)
            case "damaged":
                kept = set(in_backup)
            case _ if word == "kept":
                kept.add(request_id)
    return kept


def assert_recovered(path: Path, lines: Sequence[str]) -> None:
    """The next life opens the store and finds each of them as it was told, no other answer wrong, and can write."""
    told = [line.removeprefix("kept ") for line in lines if line.startswith("kept ")]
    with writing(replace(plan_of(path), epoch="next-life")) as (writer, _):
        assert writer.condition.state == "good", (writer.condition, lines)
        reader = Reader(path)
        try:
            found = {one: reader.find(("host", one)) for one in told}
        finally:
            reader.close()
    missing = sorted(one for one in must_be_kept(lines) if found[one] is None)
    assert not missing, (missing, lines)
    wrong = [one for one, kept in found.items() if kept is not None and kept.answer != answer_to(one)]
    assert not wrong, (wrong, lines)
