"""Writes to stdout by every road there is."""

import ctypes
import faulthandler
import os
import subprocess
import sys
from typing import Any

from tests.algorithms.daemon.plain import Plain

print("printed at import")


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "print":
                print("printed in a hook", flush=True)
                sys.__stdout__.write("written to the first stdout\n")  # type: ignore[union-attr]
            case "write":
                os.write(1, b"\x00\x00\x00\x02{}written to descriptor 1\n")
            case "echo":
                os.system("echo echoed by a shell")
            case "child":
                subprocess.run([sys.executable, "-c", "print('printed by a child')"], check=True)
            case "faulthandler":
                faulthandler.dump_traceback(sys.stdout)
            case "flood":
                os.write(2, b"\x1b[2J" + b"x" * 4_000_000 + b"\xff\n")
            case "banner":
                ctypes.CDLL(None).puts(b"a banner of a C library")
                ctypes.CDLL(None).fflush(None)
        return None
