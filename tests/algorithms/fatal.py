"""Ends its worker."""

from typing import Any

from procvision_sdk import FatalError
from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        quiet.wait_at("entered")
        quiet.wait_at("held")
        raise FatalError("the camera link is gone")
