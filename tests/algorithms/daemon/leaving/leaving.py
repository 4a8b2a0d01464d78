"""Starts a process that outlives its worker, in each way there is; then ends its own process, or goes on."""

import os
import subprocess
from typing import Any

from tests.algorithms.daemon.plain import Plain, note

_SLEEP = ["sleep", "3600"]


def _double_fork() -> None:
    """As a daemon does: in a session of its own, with a parent that is gone."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    grandchild = subprocess.Popen(_SLEEP)
    note(str(grandchild.pid))
    os._exit(0)


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "double_fork":
                _double_fork()
            case "plain":
                note(str(subprocess.Popen(_SLEEP).pid))
            case _:
                note(str(subprocess.Popen(_SLEEP, start_new_session=True).pid))
        if how != "no":
            os._exit(3)
        return None
