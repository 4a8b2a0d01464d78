"""Hands out what its threads go on changing: its result, its parameters, what it put into the session."""

import threading
from typing import Any

from procvision_sdk import Session
from tests.algorithms.daemon.plain import Plain, judged_ok


class Algorithm(Plain):
    def setup(self) -> None:
        self.shared: dict[str, Any] = {"list": [], "count": 0}
        self.stop = threading.Event()
        self.threads: list[threading.Thread] = []

    def teardown(self) -> None:
        self.stop.set()

    def execute(self, *arguments: Any) -> Any:
        session: Session = arguments[2]
        user_params = arguments[3]
        kept = {"values": [1, 2, 3]}
        session.set("kept", kept)
        if user_params["how"] == "hammer" and not self.threads:
            self.threads = [threading.Thread(target=self._hammer, daemon=True) for _ in range(3)]
            for thread in self.threads:
                thread.start()
        kept["values"].append(99)
        user_params["how"] = "changed"
        session.context["changed"] = True
        return judged_ok(shared=self.shared, kept=session.get("kept"))

    def _hammer(self) -> None:
        while not self.stop.wait(0.0001):
            self.shared["count"] += 1
            self.shared[f"key {self.shared['count'] % 50}"] = ["a"] * (self.shared["count"] % 7)
            self.shared.pop(f"key {(self.shared['count'] + 25) % 50}", None)
