"""Says that its process is of no more use."""

from typing import Any

from procvision_sdk import FatalError
from tests.algorithms.daemon.plain import Plain, note


class Algorithm(Plain):
    def teardown(self) -> None:
        note("teardown")

    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        if how == "fatal":
            raise FatalError("the device is lost")
        return None
