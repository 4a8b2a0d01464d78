"""Names that may stand in an archive: each means one file, the same on every platform, inside its folder (spec.md §10).

Pure: a name in, the reason why it is refused out; "" when it is not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MAX_COMPONENT_BYTES = 200
MAX_NAME_BYTES = 1024
# Windows opens a device for these, whatever follows the first dot.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)
_FORBIDDEN_ON_WINDOWS = frozenset('<>:"|?*')


def fault(name: str) -> str:
    """Why a name of a file is refused, "" when it is good."""
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        return f"expected 1 to {MAX_NAME_BYTES} bytes"
    if "\\" in name:
        return "it has a backslash"
    if name.startswith("/"):
        return "it is absolute"
    # Cc, Cf, Cs, Co and Cn: controls, invisible marks that turn text round, halves of characters, private ones.
    if any(unicodedata.category(character).startswith("C") for character in name):
        return "it has a control character"
    if _FORBIDDEN_ON_WINDOWS & set(name):
        return "it has a drive or a character that Windows does not allow"
    return next((reason for part in name.split("/") if (reason := _part_fault(part))), "")


def _part_fault(part: str) -> str:
    if part in ("", ".", ".."):
        return f"it has {part!r} as a part"
    if len(part.encode()) > MAX_COMPONENT_BYTES:
        return f"a part is longer than {MAX_COMPONENT_BYTES} bytes"
    if part[-1] in ". " or part[0] == " ":
        return "a part ends with a dot or a space, or begins with a space"
    return "a part is a device on Windows" if _RESERVED.fullmatch(part.partition(".")[0].rstrip()) else ""


def fold(name: str) -> str:
    """What a file system that ignores case and composition takes a name for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def collision(names: Iterable[str]) -> str:
    """Two names that one file system cannot hold apart, or a file that is a folder as well; "" when there is none."""
    files: dict[str, str] = {}
    for name in names:
        other = files.setdefault(fold(name), name)
        if other is not name:
            return f"{name!a} and {other!a} are one file on some systems"
    for folded, name in files.items():
        for end in (position for position, character in enumerate(folded) if character == "/"):
            if folded[:end] in files:
                return f"{files[folded[:end]]!a} is a file, and a folder in {name!a}"
    return ""
