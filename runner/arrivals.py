"""Zips that somebody drops into incoming/ of a station that serves: noticed, judged and told (spec.md §10.33).

    a name appears -> discovered -> two looks see the same file -> judged -> validated, or invalid with its reason
                          ^                                                       |
                          '--------------------- it changes ----------------------'

The loop waits for none of it: a look is one listing of a folder, in a thread; what lies still is judged in a process of
its own, behind everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from procvision_sdk.errors import ErrorCode, ProcVisionError
from runner.logs import runner_log
from runner.package_desk import Told
from runner.packages.incoming import Found, PackageState, look

# Headers and four small files are read; a disk that takes longer for that hangs.
JUDGE_S = 120.0


class Arrivals:
    """The watched folder of one station. `judge` gets the name of a zip; `tell` gets each change of one, to publish."""

    def __init__(self, folder: Path, judge: Callable[[str], Awaitable[Told]], tell: Callable[[Told], None]) -> None:
        self._folder = folder
        self._judge = judge
        self._tell = tell
        self._known: dict[Path, Found] = {}
        # What was judged by rules that have changed since; it counts until it is judged anew.
        self._outdated: set[Path] = set()
        self._rules = 0

    async def watch(self, every_s: float) -> None:
        """Look again and again until it is cancelled; the folder is made where there is none."""
        with suppress(OSError):  # then there is nothing to look into, and a later look finds it once it is there
            await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """One look, and the judgement of what lies still since the one before."""
        try:
            found = await asyncio.to_thread(look, self._folder, self._known)
        except OSError as error:
            runner_log.warning("%s cannot be looked into: %s", self._folder, error)
            return
        before, self._known = self._known, found
        self._outdated &= found.keys()
        for path in before.keys() - found.keys():
            self._tell({**before[path].to_json(), "state": "gone"})
        for path, one in found.items():
            if path not in before or before[path].state is not one.state:
                self._tell(one.to_json())
        for path, one in found.items():
            if path in self._outdated or (one.still and one.state is PackageState.DISCOVERED):
                await self._judged(one)

    async def listed(self) -> list[Told]:
        """What lies there at this moment, and what is known of it."""
        try:
            found = await asyncio.to_thread(look, self._folder, self._known)
        except OSError:
            found = self._known
        return [one.to_json() for one in found.values()]

    def rules_changed(self) -> None:
        """What may be installed depends on keys and versions: everything is judged again at the next look."""
        self._rules += 1
        self._outdated = {path for path, one in self._known.items() if one.state is not PackageState.DISCOVERED}

    async def _judged(self, one: Found) -> None:
        rules = self._rules
        try:
            async with asyncio.timeout(JUDGE_S):
                told = await self._judge(one.path.name)
        except TimeoutError:
            told = _unknown(ErrorCode.UNKNOWN_ERROR, f"reading it took longer than {JUDGE_S:.0f} s")
        except ProcVisionError as error:
            told = _unknown(error.code, f"it could not be looked at: {error.message}")
        fresh = replace(
            one,
            state=PackageState(told["state"]),
            label=told["package"],
            digest=told["digest"],
            code=told["error_code"],
            reason=told["reason"],
        )
        self._known[one.path] = fresh
        if rules == self._rules:
            self._outdated.discard(one.path)
        else:
            self._outdated.add(one.path)
        if fresh == one:
            return
        self._tell(fresh.to_json())
        said = " ".join(filter(None, (fresh.state.value, fresh.label, fresh.code, fresh.reason)))
        runner_log.info("incoming/%s is %s", one.path.name, said)


def _unknown(code: str, reason: str) -> Told:
    return {"state": "invalid", "package": "", "digest": "", "error_code": code, "reason": reason}
