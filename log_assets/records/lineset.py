"""Sets of lines as one piece of memory: what compaction unites, cuts and counts.

A line here is no Python object but an offset into the content, so a million of them cost what their bytes cost. Arrow
sorts and moves lines of any length; numpy compares the same bytes of all of them at once. Any lines may come: nearly
all begin with the same column, which makes it fast, and that is checked before it is relied on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from log_assets.records.ids import Ids, ids_of
from log_assets.records.lines import DIGEST_LENGTH, Packed, TooLarge, member

MEMBER_ROWS = 65_536
"""Lines of a gzip member of an hour's file: fixed, so the bytes do not depend on how many cores compress it."""

ByteArray = npt.NDArray[np.uint8]
"""Content as numpy has it: shape (bytes,), or (lines, bytes) where the same bytes of many lines are compared."""
_Positions = npt.NDArray[np.int64]

_NEWLINE = ord("\n")
_WORD = 8
_USER = b'{"user_id":"'
_RECORD = b'","record_id":'
_RECORD_AT = len(_USER) + 44
_ID_AT = _RECORD_AT + len(_RECORD)
# A sign, nineteen digits, and the byte that ends them.
_ID_BYTES = 21
_CHUNK = 1 << 20

_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class LineSet:
    """Lines, each with its newline, once each and in bytewise order.

    Attributes:
        lines: all of them and maybe others, in any order; Arrow's large_binary, whole and without nulls.
        order: the positions in `lines` of those that are in the set, in the set's order; shape (lines of the set,).
    """

    lines: pa.LargeBinaryArray
    order: _Positions

    @classmethod
    def of(cls, content: ByteArray) -> Self:
        """The set of the lines in `content`: in any order, duplicates allowed, each with its newline."""
        # Chunk by chunk: the comparison's result takes a byte for each byte compared.
        starts = range(0, len(content), _CHUNK)
        found = [np.flatnonzero(content[start : start + _CHUNK] == _NEWLINE) + (start + 1) for start in starts]
        offsets = np.concatenate([np.zeros(1, np.int64), *found])
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
        lines = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
        return cls(lines, _order(lines, content, offsets))

    def __len__(self) -> int:
        return len(self.order)

    @property
    def lengths(self) -> npt.NDArray[np.uint32]:
        """Bytes of each line, in order; shape (lines,)."""
        return np.diff(_offsets(self.lines)).astype(np.uint32)[self.order]

    def contents(self, rows: int) -> Iterator[memoryview]:
        """The lines joined, in order, so many at a time; an empty set is one empty content."""
        for start in range(0, len(self) or 1, rows):
            yield _content(_take(self.lines, self.order[start : start + rows]))

    def content(self) -> bytes:
        """All lines joined."""
        return bytes(_content(_take(self.lines, self.order)))

    def first(self, number: int) -> tuple[bytes, ...]:
        return tuple(_take(self.lines, self.order[:number]).to_pylist())

    def record_ids(self) -> Ids:
        """The `record_id` column, in no order; lines without one are left out."""
        content, offsets = np.frombuffer(_content(self.lines), np.uint8), _offsets(self.lines)
        starts = offsets[:-1] if len(self) == len(self.lines) else offsets[np.sort(self.order)]
        if len(self) and np.diff(offsets).min() >= _ID_AT + _ID_BYTES and _all_have(content, starts, _USER):
            found = _fields(content, starts + _RECORD_AT, len(_RECORD) + _ID_BYTES)
            if (found[:, : len(_RECORD)] == np.frombuffer(_RECORD, np.uint8)).all():
                return _numbers(found[:, len(_RECORD) :])
        return ids_of(self.content(), len(self))


def pack(lines: LineSet, member_rows: int = MEMBER_ROWS) -> Packed:
    """An hour's file: gzip members of `member_rows` lines."""
    sha, size = hashlib.sha256(), 0
    members: list[bytes] = []
    for content in lines.contents(member_rows):
        sha.update(content)
        size += len(content)
        members.append(member(content))
    return Packed(b"".join(members), sha.hexdigest()[:DIGEST_LENGTH], size)


def union(contents: Iterable[bytes], limit: int | None = None) -> LineSet:
    """The set union of contents, sorted or not, each of which ends with a newline or is empty.

    Raises `TooLarge` when they come to more than `limit` bytes.
    """
    # One buffer that grows: writing to memory that was just freed is cheaper than to fresh memory.
    buffer, size = np.empty(_CHUNK, np.uint8), 0
    for content in contents:
        added = np.frombuffer(content, np.uint8)
        end = size + len(added)
        if limit is not None and end > limit:
            raise TooLarge(f"more than {limit:,} bytes")
        if end > len(buffer):
            larger = np.empty(max(end, 2 * len(buffer)), np.uint8)
            larger[:size] = buffer[:size]
            buffer = larger
        buffer[size:end] = added
        size = end
    return LineSet.of(buffer[:size])


def _order(lines: pa.LargeBinaryArray, content: ByteArray, offsets: _Positions) -> _Positions:
    """The positions of the distinct lines, in bytewise order."""
    starts, user_at = offsets[:-1], len(_USER)
    if not len(lines) or np.diff(offsets).min() < user_at + _WORD or not _all_have(content, starts, _USER):
        every, is_new = _sorted(lines)
        return every[is_new]
    # The first eight bytes of the user id, as one big-endian number, order nearly all lines: integers sort fastest, and
    # a stable sort of sets that are sorted already is little more than a merge. Lines that agree in them are adjacent
    # afterwards, and are ordered by the whole line.
    prefixes = _fields(content, starts + user_at, _WORD).view(">u8").ravel().astype(np.uint64)
    order: _Positions = np.argsort(prefixes, kind="stable")
    prefixes = prefixes[order]
    same_as_next = prefixes[1:] == prefixes[:-1]
    tied = np.append(same_as_next, False) | np.append(False, same_as_next)
    if not tied.any():
        return order
    among, is_new = _sorted(_take(lines, order[tied]))
    order[tied] = order[tied][among]
    duplicates = np.flatnonzero(tied)[~is_new]
    distinct: _Positions = np.delete(order, duplicates)
    return distinct


def _sorted(lines: pa.LargeBinaryArray) -> tuple[_Positions, npt.NDArray[np.bool_]]:
    """The positions of lines in bytewise order, and whether each differs from the one before it."""
    order = _values(pc.sort_indices(lines), np.int64)
    lines = _take(lines, order)
    differ = _values(pc.not_equal(lines[1:], lines[:-1]).cast(pa.uint8()), np.bool_)
    return order, np.append(np.ones(min(1, len(lines)), np.bool_), differ)


def _take(lines: pa.LargeBinaryArray, order: _Positions) -> pa.LargeBinaryArray:
    # By buffers: Arrow imports pandas as soon as it is given a numpy array or asked for one, which takes longer than
    # compacting most hours does.
    return lines.take(pa.Array.from_buffers(pa.int64(), len(order), [None, pa.py_buffer(order)]))


def _values(array: pa.Array, kind: type[_Value]) -> npt.NDArray[_Value]:
    values: npt.NDArray[_Value] = np.frombuffer(array.buffers()[1] or b"", kind)
    return values[: len(array)]


def _offsets(lines: pa.LargeBinaryArray) -> _Positions:
    return np.frombuffer(lines.buffers()[1] or bytes(_WORD), np.int64)[: len(lines) + 1]


def _content(lines: pa.LargeBinaryArray) -> memoryview:
    return memoryview(lines.buffers()[2] or b"")[: _offsets(lines)[-1]]


def _all_have(content: ByteArray, positions: _Positions, text: bytes) -> bool:
    return bool((_fields(content, positions, len(text)) == np.frombuffer(text, np.uint8)).all())


def _fields(content: ByteArray, positions: _Positions, width: int) -> ByteArray:
    """The `width` bytes from each position on; shape (positions, width)."""
    return np.lib.stride_tricks.sliding_window_view(content, width)[positions]


def _numbers(fields: ByteArray) -> Ids:
    """The integer that each field begins with, in decimal as `row` writes it; shape (fields,)."""
    negative = fields[:, 0] == ord("-")
    found, goes_on = np.zeros(len(fields), np.int64), np.ones(len(fields), np.bool_)
    for column, byte in enumerate(fields.T):
        digits = byte - np.uint8(ord("0"))
        is_digit = digits < 10
        goes_on &= is_digit if column else is_digit | negative
        if not goes_on.any():
            break
        # Summed up as a negative number: -2**63 has no positive counterpart.
        found = np.where(goes_on & is_digit, found * 10 - digits, found)
    return np.where(negative, found, -found)
