"""Loads its own build of a library that another package has another build of, for the whole process to see."""

import ctypes
from typing import Any

from tests.algorithms.daemon.plain import FOLDER, Plain, judged_ok


class Codec(Plain):
    name = ""

    def setup(self) -> None:
        self.library = ctypes.CDLL(str(FOLDER / self.name / "libcodec.so"), mode=ctypes.RTLD_GLOBAL)

    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        return judged_ok(build=self.library.build(), seen=ctypes.CDLL(None).build(), calls=self.library.count())
