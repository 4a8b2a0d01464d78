"""Says in every text what a page or a terminal might take for its own."""

from typing import Any

from tests.algorithms import cli_plain

TALE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>[bold]\x1b[2J{{ 7 * 7 }}"


class Algorithm(cli_plain.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        self.diagnostics.publish("tale", TALE)
        rect = {"x": 1, "y": 2, "width": 3, "height": 4, "label": TALE, "score": 0.5}
        return {"status": "OK", "data": {"result_status": "NG", "ng_reason": TALE, "defect_rects": [rect]}}
