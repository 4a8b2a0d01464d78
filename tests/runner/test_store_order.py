"""Rows are numbered as inspections were admitted, also where a quick answer needs no row before it (spec.md §4.36)."""

from __future__ import annotations

from pathlib import Path

from runner.results.keeping import Keeping
from runner.results.rows import Accepted, Selection
from runner.results.store import ResultStore
from tests.doubles.result_rows import PAYLOAD
from tests.runner.test_result_store import RESULT, kept_in


def test_rows_are_numbered_in_the_order_of_admission_whichever_is_answered_first(tmp_path: Path) -> None:
    async def overtake(store: ResultStore) -> None:
        long, short = (Accepted(("host", name), "p", PAYLOAD, "pv1.pv-s.0.1", 1000) for name in ("long", "short"))
        kept = {one.key[1]: Keeping(store, one, None) for one in (long, short)}
        for keeping in kept.values():
            keeping.accepted()
        await kept["short"].settle(RESULT)
        newest_first = await store.listing(Selection())
        assert [(one.request_id, one.status) for one in newest_first] == [("short", "OK"), ("long", "")]
        await kept["long"].settle(RESULT)
        assert [one.request_id for one in await store.listing(Selection())] == ["short", "long"]

    kept_in(tmp_path, "process", overtake)
