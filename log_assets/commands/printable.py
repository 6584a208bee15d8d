"""What visitors of the logged site wrote, and a terminal would act on, is shown escaped: ESC and the other controls,
C1, and the marks that turn the direction of writing."""

from __future__ import annotations

import re

# Controls but for tab and newline; DEL and C1; marks and overrides of direction; line and paragraph separators.
_ACTS = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_IN_TEXT = re.compile(rf"[\x00-\x08\x0b-\x1f{_ACTS}]")
_IN_JSON = re.compile(rf"[{_ACTS}]")


def printable(text: str) -> str:
    """Text for a table or an error, its acting characters as ``\\x1b`` or ``\\u202e``."""
    return _IN_TEXT.sub(_escaped, text)


def printable_json(content: bytes) -> bytes:
    """JSON that holds the same, its acting characters escaped as JSON does it. They can stand in strings only."""
    text = content.decode()
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
