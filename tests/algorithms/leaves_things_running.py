"""Leaves a thread and a child behind that never end by themselves."""

import subprocess
import threading
from typing import Any

from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        threading.Thread(target=threading.Event().wait).start()
        child = subprocess.Popen(["sleep", "1000"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        quiet.note(str(child.pid))
        return super().execute(*arguments, **named)
