"""Writes to standard output in every way a process can."""

import ctypes
import os
import subprocess
import sys
from typing import Any

from tests.algorithms import quiet

print("printed at import")


class Algorithm(quiet.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        print("printed")
        sys.stdout.write("written\n")
        assert sys.__stdout__ is not None
        sys.__stdout__.write("written to the original\n")
        os.write(1, b"written to descriptor 1\n")
        os.system("echo echoed by a shell")
        subprocess.run(["echo", "echoed by a child"], check=True)
        ctypes.CDLL(None).printf(b"printed by C and never flushed\n")
        print("\ud800 cannot be encoded")
        return super().execute(*arguments, **named)
