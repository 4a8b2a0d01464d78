"""The names authors may use, resolved on first use so that importing this package costs nothing (spec.md §4)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from procvision_sdk.algorithm import BaseAlgorithm as BaseAlgorithm
    from procvision_sdk.diagnostics import Diagnostics as Diagnostics
    from procvision_sdk.errors import ErrorCode as ErrorCode
    from procvision_sdk.errors import FatalError as FatalError
    from procvision_sdk.errors import GPUOutOfMemoryError as GPUOutOfMemoryError
    from procvision_sdk.errors import ImageLoadError as ImageLoadError
    from procvision_sdk.errors import InvalidParamsError as InvalidParamsError
    from procvision_sdk.errors import ModelNotFoundError as ModelNotFoundError
    from procvision_sdk.errors import ProcVisionError as ProcVisionError
    from procvision_sdk.errors import RecoverableError as RecoverableError
    from procvision_sdk.geometry import Rect as Rect
    from procvision_sdk.image import ImageMeta as ImageMeta
    from procvision_sdk.logger import StructuredLogger as StructuredLogger
    from procvision_sdk.result import ExecuteResult as ExecuteResult
    from procvision_sdk.result import PreExecuteResult as PreExecuteResult
    from procvision_sdk.session import Session as Session
    from procvision_sdk.shared_memory import dev_clear_shared_memory as dev_clear_shared_memory
    from procvision_sdk.shared_memory import dev_write_image_to_shared_memory as dev_write_image_to_shared_memory
    from procvision_sdk.shared_memory import read_image as read_image
    from procvision_sdk.shared_memory import read_image_from_shared_memory as read_image_from_shared_memory
    from procvision_sdk.shared_memory import write_image_array_to_shared_memory as write_image_array_to_shared_memory

_HOMES = {
    "BaseAlgorithm": "algorithm",
    "Diagnostics": "diagnostics",
    "ErrorCode": "errors",
    "ExecuteResult": "result",
    "FatalError": "errors",
    "GPUOutOfMemoryError": "errors",
    "ImageLoadError": "errors",
    "ImageMeta": "image",
    "InvalidParamsError": "errors",
    "ModelNotFoundError": "errors",
    "PreExecuteResult": "result",
    "ProcVisionError": "errors",
    "Rect": "geometry",
    "RecoverableError": "errors",
    "Session": "session",
    "StructuredLogger": "logger",
    "dev_clear_shared_memory": "shared_memory",
    "dev_write_image_to_shared_memory": "shared_memory",
    "read_image": "shared_memory",
    "read_image_from_shared_memory": "shared_memory",
    "write_image_array_to_shared_memory": "shared_memory",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'procvision_sdk' has no attribute {name!r}; it offers: {', '.join(__all__)}")
    value = getattr(import_module(f"procvision_sdk.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
