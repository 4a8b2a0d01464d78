"""spec.md, cited by code and tests: each cited clause exists, each error code has its paragraph, examples are whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from procvision_sdk.errors import ErrorCode
from procvision_sdk.wire import body
from procvision_sdk.wire.framing import FrameDecoder
from procvision_sdk.wire.host_messages import Answer, Welcome, parse_request

ROOT = Path(__file__).parents[2]
CITING = ("procvision_sdk", "runner", "algorithm_example", "tests", "benchmarks", "docs")
SUFFIXES = frozenset({".py", ".md", ".toml", ".json", ".j2", ".html"})

_NUMBER = r"§\d+(?:\.\d+)?"
_CITATION = re.compile(rf"spec\.md ({_NUMBER}(?:(?:, | and | to |-|, and ){_NUMBER})*)")
_SECTION = re.compile(r"^## (§\d+) ", re.MULTILINE)
_CLAUSE = re.compile(r"^\*\*(§\d+\.\d+)\*\* \S", re.MULTILINE)
_DUMP = re.compile(r"^```hex\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^\*\*§6\.(\d{4})\*\* `(\d{4})` (\w+)\. Cause: \S.* Acts: \S.* To do: \S.*$", re.MULTILINE)


def clauses(spec: str) -> Counter[str]:
    """How often each section and clause number is defined."""
    return Counter(_SECTION.findall(spec) + _CLAUSE.findall(spec))


def citations(root: Path) -> Iterator[tuple[str, str]]:
    """(file:line, clause) for each clause of spec.md that a file under `root` cites."""
    for folder in CITING:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in SUFFIXES or not path.is_file():
                continue
            for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
                for cited in _CITATION.findall(line):
                    for clause in re.findall(_NUMBER, cited):
                        yield f"{path.relative_to(root).as_posix()}:{number}", clause


def unknown_citations(root: Path) -> list[str]:
    """One line for each citation of a clause that spec.md does not have."""
    known = clauses((root / "spec.md").read_text("utf-8"))
    return [f"{place} cites {clause}" for place, clause in citations(root) if clause not in known]


def code_findings(spec: str) -> list[str]:
    """Error codes without their one paragraph, and paragraphs without their error code."""
    told = Counter(f"{code} {word}" for number, code, word in _CODE.findall(spec) if number == code)
    issued = {f"{code.value} {code.word}" for code in ErrorCode}
    missing = [f"{code}: {told[code]} paragraphs" for code in sorted(issued) if told[code] != 1]
    return missing + [f"{code}: no such error code" for code in sorted(set(told) - issued)]


def frames(spec: str) -> list[bytes]:
    """The bytes of each example: columns are offset, hexadecimal bytes, ASCII, two blanks apart."""
    rows = [[line.split("  ")[1] for line in dump.splitlines()] for dump in _DUMP.findall(spec)]
    return [bytes.fromhex(" ".join(row)) for row in rows]


def messages(spec: str) -> list[dict[str, Any]]:
    """The message in each example, which has to be one whole frame."""
    found = []
    for frame in frames(spec):
        decoder = FrameDecoder()
        bodies, error = decoder.feed(frame)
        assert (len(bodies), error, decoder.unfinished) == (1, None, False)
        found.append(body.decode(bodies[0]))
    return found


@pytest.fixture(scope="module")
def spec() -> str:
    return (ROOT / "spec.md").read_text("utf-8")


def test_every_cited_clause_exists() -> None:
    assert unknown_citations(ROOT) == []


def test_the_citations_of_the_project_are_seen() -> None:
    assert len({clause for _, clause in citations(ROOT)}) >= 5


def test_every_clause_that_the_spec_cites_of_itself_exists(spec: str) -> None:
    assert sorted(set(re.findall(_NUMBER, spec)) - set(clauses(spec))) == []


def test_each_number_is_defined_once_and_there_are_thirteen_sections(spec: str) -> None:
    found = clauses(spec)
    assert [number for number, times in found.items() if times > 1] == []
    assert [number for number in found if "." not in number] == [f"§{section}" for section in range(1, 14)]


def test_every_error_code_has_its_paragraph_with_cause_actor_and_remedy(spec: str) -> None:
    assert code_findings(spec) == []


def test_every_example_in_bytes_is_one_whole_frame(spec: str) -> None:
    assert {"hello", "lease", "inspect", "result"} <= {message["type"] for message in messages(spec)}


def test_every_example_is_a_message_that_its_reader_accepts(spec: str) -> None:
    for message in messages(spec):
        if message["type"] == "result":
            msgspec.convert(message, Answer)
        elif "runner_version" in message:
            msgspec.convert(message, Welcome)
        else:
            parse_request(message)


def _project(root: Path, source: str, text: str) -> Path:
    (root / "runner").mkdir()
    (root / "runner" / "x.py").write_text(source, "utf-8")
    (root / "spec.md").write_text(text, "utf-8")
    return root


# In two pieces, so that this file does not cite what it plants.
CITED = "spec" + ".md"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f'"""({CITED} §1)"""', []),
        (f'"""({CITED} §1.2)"""', []),
        (f"x = 1  # {CITED} §1.2 and §1", []),
        (f'"""({CITED} §2)"""', ["runner/x.py:1 cites §2"]),
        (f'"""\n{CITED} §1.20"""', ["runner/x.py:2 cites §1.20"]),
        (f"# {CITED} §1.2, §1.3", ["runner/x.py:1 cites §1.3"]),
        (f"# {CITED} §7 to §9", ["runner/x.py:1 cites §7", "runner/x.py:1 cites §9"]),
    ],
)
def test_a_citation_of_a_missing_clause_is_reported_with_its_place(
    tmp_path: Path, source: str, expected: list[str]
) -> None:
    root = _project(tmp_path, source, "## §1 Algorithm\n\n**§1.2** Text that mentions §1.3.\n")
    assert unknown_citations(root) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("**§6.1005** `1005`", "**§6.1005** `1050`", ["1005 timeout: 0 paragraphs"]),
        ("`3001` busy.", "`3001` bussy.", ["3001 busy: 0 paragraphs", "3001 bussy: no such error code"]),
        ("`9999` unknown_error. Cause:", "`9999` unknown_error.", ["9999 unknown_error: 0 paragraphs"]),
    ],
)
def test_a_code_without_its_paragraph_is_reported(spec: str, old: str, new: str, expected: list[str]) -> None:
    assert spec.count(old) == 1
    assert code_findings(spec.replace(old, new)) == expected
