"""One per station: hosts in, supervised algorithm processes out. Runner and AsyncRunner run inside a Python host."""

from typing import TYPE_CHECKING

from procvision_sdk import __version__ as __version__

if TYPE_CHECKING:
    from runner.embedded import AsyncRunner as AsyncRunner
    from runner.embedded import Runner as Runner


def __getattr__(name: str) -> object:
    if name in ("AsyncRunner", "Runner"):
        from runner import embedded

        return getattr(embedded, name)
    raise AttributeError(f"module 'runner' has no attribute {name!r}")
