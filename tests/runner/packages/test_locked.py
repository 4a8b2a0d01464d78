"""requirements.txt of a package (spec.md §10.13, §10.23)."""

from __future__ import annotations

from pathlib import Path

import pytest

from procvision_sdk.errors import PackageError
from runner.packages import locked
from runner.packages.locked import Locked

A, B = "a" * 64, "b" * 64


def test_what_is_written_is_read_back_in_order_of_names() -> None:
    needed = (Locked("zeta", "1.0", (A,)), Locked("alpha-one", "2!1.0+cpu", (B, A)))
    text = locked.to_bytes(needed)
    assert text == f"alpha-one==2!1.0+cpu --hash=sha256:{A} --hash=sha256:{B}\nzeta==1.0 --hash=sha256:{A}\n".encode()
    assert locked.parse(text) == (Locked("alpha-one", "2!1.0+cpu", (A, B)), Locked("zeta", "1.0", (A,)))


REFUSED = [
    b"a==1\n",
    b"a>=1 --hash=sha256:" + A.encode(),
    b"a==1 --hash=md5:" + A.encode(),
    b"a==1 --hash=sha256:" + A.encode() + b" ; os_name == 'nt'",
    b"A==1 --hash=sha256:" + A.encode(),
    b"-r other.txt",
    b"--index-url https://example.com",
    b"a @ https://example.com/a.whl",
    b"# nothing",
    b"\n",
    b"\xff==1",
    (f"a==1 --hash=sha256:{A}\n" * 2).encode(),
    f"a==1 --hash=sha256:{A}".encode(),
    f"a==1 --hash=sha256:{A}\r\n".encode(),
    f"a==1 --hash=sha256:{A}\n\n".encode(),
    f"a==1 --hash=sha256:{B} --hash=sha256:{A}\n".encode(),
    f"b==1 --hash=sha256:{A}\na==1 --hash=sha256:{A}\n".encode(),
]


@pytest.mark.parametrize("text", REFUSED)
def test_any_other_line_is_refused_by_its_number(text: bytes) -> None:
    with pytest.raises(PackageError, match=r"requirements\.txt line [12]: expected") as refused:
        locked.parse(text)
    assert refused.value.code == "2010"


def test_a_wheel_says_which_requirement_it_meets() -> None:
    path = Path("Some_Thing-1.0-py3-none-any.whl")
    assert locked.of_wheel(path, A) == Locked("some-thing", "1.0", (A,))
    with pytest.raises(PackageError, match=r"x\.whl") as refused:
        locked.of_wheel(Path("x.whl"), A)
    assert refused.value.code == "2004"
