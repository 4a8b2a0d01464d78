"""Cannot be imported, for the reason that PROC_TEST_HOW names."""

import os
import sys
import tempfile
from pathlib import Path

from tests.algorithms.daemon.plain import Plain, note

note("imported")
match os.environ["PROC_TEST_HOW"]:
    case "raises":
        raise ValueError("the licence has expired")
    case "missing module":
        import halcon_of_tomorrow  # type: ignore[import-not-found]  # noqa: F401
    case "wrong binary":
        Path(tempfile.gettempdir(), "codec_of_2019.so").write_bytes(b"\x7fELF of another machine")
        sys.path.append(tempfile.gettempdir())
        import codec_of_2019  # type: ignore[import-not-found]  # noqa: F401
    case "exits":
        sys.exit("no camera")
    case "crash":
        os.abort()


class Algorithm(Plain):
    """Never reached."""
