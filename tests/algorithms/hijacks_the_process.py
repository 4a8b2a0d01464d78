"""Takes over what belongs to the process: signals, folder, mask, names of the standard library."""

import json
import os
import signal
import sys
import tempfile
from typing import Any

from tests.algorithms import quiet


def _broken(*arguments: Any, **named: Any) -> Any:
    raise RuntimeError("replaced")


class Algorithm(quiet.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, lambda *_: None)
        os.kill(os.getpid(), signal.SIGUSR2)
        os.chdir(tempfile.gettempdir())
        os.umask(0o777)
        sys.excepthook = _broken
        json.dumps = json.loads = _broken
        os.write = os.read = _broken
        sys.stdout = None
        setattr(self, "diagnostics", {})  # noqa: B010 - of another type, on purpose
        setattr(self, "logger", None)  # noqa: B010
        return {"status": "OK", "data": {"result_status": "OK"}}
