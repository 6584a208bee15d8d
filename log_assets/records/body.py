"""A body as it came → its text, however it is packed: gzip once or several times, UTF-8, UTF-16 or UTF-32, a BOM.

What it was called (a file's ending, Content-Encoding, Content-Type) is often wrong and never needed: no JSON begins
like gzip.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from log_assets.records import lines

MAX_BODY = 64 << 20
"""Bytes of one body, decompressed; a source that answers with more is cut off, a window with more is damaged."""

_MAGIC = b"\x1f\x8b"
# Stored packed, served packed, and once more by a proxy.
_LAYERS = 3


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The content of a body, and what is wrong with its gzip: then the content is what could be unpacked of it."""

    content: bytes
    fault: str = ""


def unpacked(body: bytes, limit: int = MAX_BODY) -> Unpacked:
    """The content of a body that is gzip; any other is its own.

    Raises:
        TooLarge: the content is more than `limit` bytes.
    """
    for _ in range(_LAYERS):
        if not body.startswith(_MAGIC):
            break
        found: list[bytes] = []
        size = 0
        try:
            for piece in lines.inflate(lines.sliced(body), padded=True):
                found.append(piece)
                size += len(piece)
                if size > limit:
                    raise lines.TooLarge(f"more than {limit:,} bytes")
        except lines.TooLarge:
            raise
        except ValueError as error:
            return Unpacked(b"".join(found), f"gzip that is {error}")
        body = b"".join(found)
    return Unpacked(body)


def text_of(content: bytes) -> str:
    """Content as text. Bytes that are no UTF-8 stay, as half surrogates; half a unit of UTF-16 becomes a mark."""
    encoding = json.detect_encoding(content)
    # Without a BOM it is guessed from where the first zeros stand; of JSON in UTF-16 half of the bytes are.
    guessed = encoding[-3:] in ("-le", "-be")
    if encoding.startswith("utf-8") or (guessed and 4 * content.count(0) < len(content)):
        return content.decode(errors="surrogateescape")
    return content.decode(encoding, "replace")


def bytes_of(text: str) -> bytes:
    """A part of what `text_of` gave, in UTF-8, with bytes that are none as they were."""
    return text.encode(errors="surrogateescape")
