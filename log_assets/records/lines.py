"""Sorted sets of lines, in gzip: the content of every data object of the lake.

Equal sets make equal bytes: lines stand in bytewise order, once each, and are compressed with mtime 0 in
members of `MEMBER_ROWS` rows, so the bytes depend neither on the time nor on how many cores did it. A digest is
the first 32 hex digits of the SHA-256 of the *uncompressed* content: it outlives a change of gzip library.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from log_assets.errors import Damaged

MEMBER_ROWS = 65_536
DIGEST_LENGTH = 32
_LEVEL = 6
_GZIP = 16 + zlib.MAX_WBITS
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Packed:
    """Compressed content, the digest of what it holds, and that content's size in bytes."""

    data: bytes
    digest: str
    size: int


def digest(content: bytes | bytearray) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]


def _member(content: bytes) -> bytes:
    # zlib writes a gzip header with mtime 0 and no name of its own accord.
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return compressor.compress(content) + compressor.flush()


def pack(content: bytes) -> Packed:
    """Compress any content as one gzip member."""
    return Packed(_member(content), digest(content), len(content))


def pack_lines(lines: list[bytes]) -> Packed:
    """Compress lines, each with its newline, already sorted and unique; no lines make one empty member."""
    sha, size, members = hashlib.sha256(), 0, []
    for start in range(0, len(lines) or 1, MEMBER_ROWS):
        content = b"".join(lines[start : start + MEMBER_ROWS])
        sha.update(content)
        size += len(content)
        members.append(_member(content))
    return Packed(b"".join(members), sha.hexdigest()[:DIGEST_LENGTH], size)


class TooLarge(ValueError):
    """Content grew beyond the limit."""


def gunzip(data: bytes, limit: int | None = None) -> bytes:
    """The content of gzip of any number of members, never holding much more than `limit` bytes.

    Raises:
        TooLarge: the content is more than `limit` bytes.
        ValueError: not gzip, or cut short.
    """
    content = bytearray()
    position = 0
    while position < len(data):
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            # Fed in slices: what a step leaves over is copied, and must not be all the rest each time.
            pending = member.unconsumed_tail or data[position : position + _CHUNK]
            if not member.unconsumed_tail:
                position += len(pending)
            try:
                piece = member.decompress(pending, _CHUNK)
            except zlib.error as error:
                raise ValueError(f"no gzip: {error}") from None
            content += piece
            if limit is not None and len(content) > limit:
                raise TooLarge(f"more than {limit:,} bytes")
            if not piece and not pending and not member.eof:
                raise ValueError("cut short")
        position -= len(member.unused_data)
    return bytes(content)


def unpack(data: bytes, expected: str, name: str, limit: int | None = None) -> bytes:
    """Decompress gzip and check it against the digest in its name.

    Args:
        data: the object's bytes.
        expected: the digest that its name promises.
        name: the object's key, for the error.
        limit: the most bytes it may grow to; None where the digest alone is trusted.

    Raises:
        Damaged: not gzip, cut short, over the limit, or other content than promised.
    """
    try:
        content = gunzip(data, limit)
    except ValueError as error:
        raise Damaged(f"{name} is damaged ({error}): restore it from a copy, or delete it") from None
    if not data or digest(content) != expected:
        raise Damaged(f"{name} is damaged: its content does not match the digest {expected} in its name")
    return content


def split(content: bytes) -> list[bytes]:
    """Content as lines, each with its newline. A line of JSON holds no other line break."""
    return content.splitlines(keepends=True)


def union(sets: Iterable[Iterable[bytes]]) -> list[bytes]:
    """The set union of lines, in bytewise order."""
    merged: set[bytes] = set()
    for lines in sets:
        merged.update(lines)
    return sorted(merged)
