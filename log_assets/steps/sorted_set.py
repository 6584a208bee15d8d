"""One object of sorted, unique lines, read whole or as it comes, and always checked against its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from log_assets.errors import Damaged, LakeError, failure_of
from log_assets.lake import Lake
from log_assets.records import lines, row


@dataclass(frozen=True, slots=True)
class SortedSet:
    """One object of sorted, unique lines: its key, the digest its name promises, its row version and stored bytes."""

    key: str
    digest: str
    version: int
    size: int


def content(lake: Lake, one: SortedSet) -> bytes:
    """The lines of a set as this row version writes them.

    Raises:
        Damaged, NotFound: the object is not what its name promises, or gone.
        LakeError: it could not be read, or was written by a newer version.
    """
    with failure_of(one.key):
        found = lines.unpack(lake.get(one.key), one.digest, one.key)
        if found and not found.endswith(b"\n"):
            raise Damaged(f"{one.key} is damaged (its last line does not end): restore it from a copy, or delete it")
        return _current(found, one)


def _current(found: bytes, one: SortedSet) -> bytes:
    """Lines of an older row version as this one writes them, sorted again."""
    if one.version > row.ROW_VERSION:
        raise LakeError(f"{one.key} was written by a newer version of this program (row version {one.version}): update")
    if one.version == row.ROW_VERSION:
        return found
    return b"".join(sorted(row.reencode(lines.split(found))))


def chunks(lake: Lake, one: SortedSet, buffer: int) -> Iterator[bytes]:
    """The same in sorted chunks of whole lines; a set of more than `buffer` stored bytes is never whole in memory, and
    is checked against its digest at its end."""
    if one.size <= buffer or one.version != row.ROW_VERSION:
        yield content(lake, one)
        return
    sha, rest = hashlib.sha256(), b""
    try:
        for piece in lines.inflate(lake.pieces(one.key)):
            sha.update(piece)
            end = piece.rfind(b"\n") + 1
            if end:
                yield rest + piece[:end]
                rest = piece[end:]
            else:
                rest += piece
    except ValueError as error:
        raise Damaged(f"{one.key} is damaged ({error}): restore it from a copy, or delete it") from None
    if rest or sha.hexdigest()[: lines.DIGEST_LENGTH] != one.digest:
        raise Damaged(f"{one.key} is damaged: its content does not match the digest {one.digest} in its name")
