"""Takes over what belongs to the process: signals, clocks, folder, mask, locale, names of the standard library."""

import atexit
import io
import json
import locale
import os
import select
import signal
import sys
import tempfile
import time
from typing import Any

from tests.algorithms.daemon.plain import Plain, judged_ok


def _broken(*arguments: Any, **named: Any) -> Any:
    raise RuntimeError("replaced")


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        if how != "hijack":
            return None
        for name in ("SIGTERM", "SIGINT", "SIGCHLD", "SIGALRM", "SIGHUP"):
            signal.signal(getattr(signal, name), _broken)
        locale.setlocale(locale.LC_ALL, "C")
        os.chdir(tempfile.gettempdir())
        os.umask(0o777)
        atexit.register(_broken)
        sys.excepthook = sys.exit = _broken
        told = judged_ok(replaced=True)
        for module, names in [
            (json, ("dumps", "loads", "dump", "load")),
            (os, ("read", "write", "open", "close", "getcwd", "_exit")),
            (time, ("time", "monotonic", "perf_counter", "sleep")),
            (select, ("poll", "select")),
        ]:
            for name in names:
                setattr(module, name, _broken)
        sys.stdout, sys.stderr = io.StringIO(), None
        return told
