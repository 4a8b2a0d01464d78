"""What a station would refuse is refused where it can be mended: when it is packaged (spec.md §10.23, §11.17)."""

from __future__ import annotations

from pathlib import Path

import pytest

from procvision_sdk.errors import PackageError
from tests.doubles.packages import WheelDraft
from tests.doubles.packaging import make_packable, pack

SHARED = {"shared/x.py": b""}
REFUSED = [
    ("a .pth", [WheelDraft(files={"tiny.pth": b"import os"})], "tiny-1.0.*tiny.pth would run at every start"),
    ("sitecustomize", [WheelDraft(files={"sitecustomize.py": b""})], "tiny-1.0.*sitecustomize.py would run"),
    ("a python of its own", [WheelDraft(entry_points="[console_scripts]\npython3 = tiny:main\n")], "tiny-1.0.*python3"),
    ("data elsewhere", [WheelDraft(files={"tiny-1.0.data/data/etc/x": b""})], "tiny-1.0.*outside of site-packages"),
    ("a wrong RECORD", [WheelDraft(record=b"")], "tiny-1.0.*RECORD"),
    ("the SDK's folder", [WheelDraft(files={"procvision_sdk/more.py": b""})], "tiny-1.0.*procvision_sdk/more.py"),
    ("one path", [WheelDraft(files=SHARED), WheelDraft("other", files=SHARED)], "shared/x.py.*other-1.0.*tiny-1.0"),
]


@pytest.mark.parametrize(("_what", "drafts", "message"), REFUSED)
def test_a_wheel_that_no_station_takes_is_named_and_nothing_is_written(
    tmp_path: Path, _what: str, drafts: list[WheelDraft], message: str
) -> None:
    project = make_packable(tmp_path, "".join(f"{one.name}==1.0\n" for one in drafts))
    for one in drafts:
        name, data = one.built()
        (tmp_path / "index" / name).write_bytes(data)
    with pytest.raises(PackageError, match=message) as refused:
        pack(project)
    assert refused.value.code == "2010"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "project"]


def test_assets_that_look_like_a_bomb_are_refused(tmp_path: Path) -> None:
    project = make_packable(tmp_path)
    (project / "assets").mkdir()
    (project / "assets" / "zeros.bin").write_bytes(bytes(16 << 20))
    with pytest.raises(PackageError, match="times its own; at most") as refused:
        pack(project, wheels=False)
    assert refused.value.code == "2010"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "project"]
