"""First thing to run in a worker, standard library only (spec.md §4, Launch).

    descriptors claimed -> options -> parent-death signal -> limits -> stacks on request -> hello -> the algorithm

Protects: nothing but frames ever reaches the runner's pipe. stdin and stdout move to descriptors above 200 that no
child inherits; what prints, C code and grandchildren included, lands on stderr; reading stdin gives end of file.
As a script (`python -I -S -B boot.py`) it adds its site-packages itself and runs no .pth file.
"""

from __future__ import annotations

import os
import sys
from os import _exit
from typing import NoReturn

EXIT_OK = 0
EXIT_ENTRY_POINT = 10
EXIT_IMPORT = 11
EXIT_SETUP = 12
EXIT_PROTOCOL = 13
EXIT_PARENT_GONE = 14
EXIT_OVERRUN = 15

PROTOCOL_VERSION = "1.0"
CAPABILITIES = [
    "ping", "call", "shutdown", "shared_memory:v1", "info", "setup", "reset", "teardown", "step", "session_state",
]  # fmt: skip
# Far from what an algorithm opens, so that closing descriptors 0..99 "to be clean" does not hit the protocol.
_FIRST_PROTOCOL_DESCRIPTOR = 200


def claim_descriptors() -> tuple[int, int]:
    """The protocol's (reading, writing) descriptors; afterwards 0 is empty input and 1 is stderr."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    reading, writing = move_away(0), move_away(1)
    empty = os.open(os.devnull, os.O_RDWR)
    try:
        os.fstat(2)
    except OSError:  # started without stderr: what is printed goes nowhere, but not into the frames
        os.dup2(empty, 2)
    os.dup2(2, 1)
    os.dup2(empty, 0)
    if empty > 2:
        os.close(empty)
    out = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = out  # type: ignore[misc]
    return reading, writing


def move_away(descriptor: int) -> int:
    """Another descriptor for the same file, high up, that no child inherits."""
    if sys.platform == "win32":
        import msvcrt

        moved = os.dup(descriptor)
        msvcrt.setmode(moved, os.O_BINARY)
        return moved
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_PROTOCOL_DESCRIPTOR)


def die_with_parent(parent_os_pid: int) -> None:
    """From now on this process ends when its parent does, also while native code holds the interpreter."""
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    if sys.platform != "win32" and os.getppid() != parent_os_pid:
        _exit(EXIT_PARENT_GONE)


def set_limits(memory_mb: int | None, max_processes: int | None) -> None:
    """Bound what this process uses up; what could not be bounded is told as a warning in the log."""
    from procvision_sdk.adapter import limits

    for note in limits.apply(memory_mb, max_processes):
        warn(note)


def warn(message: str) -> None:
    """A log record on stderr, as StructuredLogger writes it."""
    import json
    import time

    record = {"level": "warning", "timestamp_ms": int(time.time() * 1000), "message": message}
    os.write(2, f"{json.dumps(record)}\n".encode())


def watch_for_hangs() -> None:
    """SIGUSR1 writes the stack of every thread to stderr, native loops included; Ctrl-C is the host's, not ours."""
    import faulthandler
    import signal

    faulthandler.enable(file=2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)


def say_hello(writing: int) -> None:
    """The adapter's hello, before anything heavy is imported: setup may take minutes."""
    import json
    import time

    from procvision_sdk import __version__

    hello = {
        "type": "hello",
        "timestamp_ms": int(time.time() * 1000),
        "sdk_version": __version__,
        "protocol_version": PROTOCOL_VERSION,
        "capabilities": CAPABILITIES,
    }
    body = json.dumps(hello).encode()
    try:
        os.write(writing, len(body).to_bytes(4, "big") + body)
    except BrokenPipeError:
        _exit(EXIT_PARENT_GONE)


def site_packages() -> list[str]:
    """The folders `site` would add for this interpreter or its virtualenv, without running what lies in them."""
    import sysconfig

    prefix = os.path.dirname(os.path.dirname(sys.executable))  # noqa: PTH120 - pathlib is not worth its import here
    if os.path.exists(os.path.join(prefix, "pyvenv.cfg")):  # noqa: PTH110, PTH118
        # Named, because distributions patch the default scheme away from what a virtualenv has.
        paths = sysconfig.get_paths("venv", vars={"base": prefix, "platbase": prefix})
    else:
        paths = sysconfig.get_paths()
    return list(dict.fromkeys((paths["purelib"], paths["platlib"])))


def main() -> NoReturn:
    """Become an adapter: read frames on stdin until shutdown or end of input."""
    reading, writing = claim_descriptors()
    from procvision_sdk.adapter.options import parse_options

    options = parse_options(sys.argv[1:])
    if options.parent_os_pid is not None:
        die_with_parent(options.parent_os_pid)
    set_limits(options.memory_mb, options.max_processes)
    watch_for_hangs()
    say_hello(writing)
    if sys.flags.no_site:
        sys.path.extend(path for path in site_packages() if path not in sys.path)
    from procvision_sdk.adapter.serve import serve

    leave(serve(reading, writing, options))


def leave(code: int) -> NoReturn:
    """End now: threads and exit handlers that the algorithm left behind do not keep the process or its pipe open."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed or replaced by the algorithm
            continue
    if sys.platform != "win32":
        import ctypes

        ctypes.CDLL(None).fflush(None)  # what C code printed and nobody flushed
    _exit(code)


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120
    from procvision_sdk.adapter.boot import main as main_of_the_module

    main_of_the_module()
