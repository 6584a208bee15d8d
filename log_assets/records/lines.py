"""Lines in gzip: the content of every data object of the lake.

Equal sets of lines make equal bytes: they stand in bytewise order, once each, and are compressed with mtime 0. A digest
is the first 32 hex digits of the SHA-256 of the *uncompressed* content: it outlives a change of gzip library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, compress, islice
from operator import ne

import deflate
from isal import igzip_lib, isal_zlib
from isal.igzip_lib import IsalError

from log_assets.errors import Damaged

DIGEST_LENGTH = 32
# libdeflate for what is kept, ISA-L for what is read once and for all reading: docs/performance.md has the figures.
KEPT_LEVEL = 7
_QUICK_LEVEL = 1
_GZIP = 31
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Packed:
    """Compressed content, the digest of what it holds, and that content's size in bytes."""

    data: bytes
    digest: str
    size: int


def digest(content: bytes | bytearray) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]


def pack(content: bytes) -> Packed:
    """Compress any content as one gzip member, quickly: windows, rows, rejects."""
    data = igzip_lib.compress(content, _QUICK_LEVEL, igzip_lib.COMP_GZIP)
    return Packed(data, digest(content), len(content))


def member(content: bytes | memoryview) -> bytes:
    """Compress one member of an hour's file, small."""
    return bytes(deflate.gzip_compress(content, KEPT_LEVEL))


def content_of(lines: list[bytes]) -> bytes:
    """The content of a set of lines, given in any order, duplicates allowed. Fastest for the few lines of a window;
    `lineset` is for an hour's."""
    ordered = sorted(lines)
    return b"".join(compress(ordered, chain((True,), map(ne, ordered, islice(ordered, 1, None)))))


class TooLarge(ValueError):
    """Content grew beyond the limit."""


def inflate(pieces: Iterable[bytes], *, padded: bool = False) -> Iterator[bytes]:
    """The content of gzip of any number of members, in pieces of at most a MiB, as they come.

    With `padded`, zeros behind a member are padding. Raises ValueError when it is no gzip, or is cut short.
    """
    current = None
    for number, data in enumerate(pieces):
        piece, more = data, False
        if padded and number and current is None:
            piece = piece.lstrip(b"\0")
        while piece or more:
            current = current or isal_zlib.decompressobj(_GZIP)
            try:
                content = current.decompress(piece, _CHUNK)
            except IsalError as error:  # type: ignore[misc]
                raise ValueError(f"no gzip: {error}") from None
            if content:
                yield content
            if current.eof:
                piece, more, current = current.unused_data, False, None
                if padded:
                    piece = piece.lstrip(b"\0")
            else:
                piece, more = current.unconsumed_tail, len(content) == _CHUNK
    if current is not None:
        raise ValueError("cut short")


def sliced(data: bytes) -> Iterator[bytes]:
    """Data in pieces for `inflate`: what one of its steps leaves over is copied, and must not be all the rest."""
    return (data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK))


def gunzip(data: bytes, limit: int | None = None) -> bytes:
    """The content of gzip of any number of members, never holding much more than `limit` bytes.

    Raises:
        TooLarge: the content is more than `limit` bytes.
        ValueError: not gzip, or cut short.
    """
    contents, size = [], 0
    for content in inflate(sliced(data)):
        contents.append(content)
        size += len(content)
        if limit is not None and size > limit:
            raise TooLarge(f"more than {limit:,} bytes")
    return b"".join(contents)


def _one_member(data: bytes) -> bytes | None:
    """The content of gzip of one member, in half the time; None when it is of several, or no gzip."""
    try:
        content = bytes(deflate.gzip_decompress(data))
    except (deflate.DeflateError, ValueError, MemoryError):
        return None
    # gzip ends with its content's size; nothing else tells that more stands behind the member.
    return content if len(content) == int.from_bytes(data[-4:], "little") else None


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
        if limit is None and (whole := _one_member(data)) is not None and digest(whole) == expected:
            return whole
        content = gunzip(data, limit)
    except ValueError as error:
        raise Damaged(f"{name} is damaged ({error}): restore it from a copy, or delete it") from None
    if not data or digest(content) != expected:
        raise Damaged(f"{name} is damaged: its content does not match the digest {expected} in its name")
    return content


def split(content: bytes) -> list[bytes]:
    """Content as lines, each with its newline. A line of JSON holds no other line break."""
    return content.splitlines(keepends=True)
