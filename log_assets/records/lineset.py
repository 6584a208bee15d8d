"""Sets of lines as one piece of memory: what compaction unites, cuts and counts.

A line here is no object of its own but a place in the content, so a million of them cost what their bytes cost. Arrow
sorts and moves lines of any length; numpy looks at the same places of all of them at once. Any lines may come: that
nearly all begin alike makes it fast, and is looked at before it is made use of.
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

Letters = npt.NDArray[np.uint8]
"""Bytes of text, as numpy looks at them."""
_Places = npt.NDArray[np.int64]

_NEWLINE = ord("\n")
_WORD = 8
_USER = b'{"user_id":"'
_RECORD = b'","record_id":'
_RECORD_PLACE = len(_USER) + 44
_ID_PLACE = _RECORD_PLACE + len(_RECORD)
# A sign, nineteen digits, and what ends them.
_ID_LETTERS = 21
_ROOM = 1 << 20

_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class LineSet:
    """Lines, each with its newline, once each and in bytewise order.

    Attributes:
        lines: all of them and maybe others, in any order; Arrow's large_binary, whole and without nulls.
        order: the positions in `lines` of those that are in the set, in the set's order; shape (lines of the set,).
    """

    lines: pa.LargeBinaryArray
    order: _Places

    @classmethod
    def of(cls, letters: Letters) -> Self:
        """The set of the lines in `letters`: in any order, doubles allowed, each with its newline."""
        # Part by part: of all letters at once, what compares them would take as much memory again.
        parts = range(0, len(letters), _ROOM)
        found = [np.flatnonzero(letters[part : part + _ROOM] == _NEWLINE) + (part + 1) for part in parts]
        offsets = np.concatenate([np.zeros(1, np.int64), *found])
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(letters)]
        lines = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
        return cls(lines, _order(lines, letters, offsets))

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
        letters, offsets = np.frombuffer(_content(self.lines), np.uint8), _offsets(self.lines)
        starts = offsets[:-1] if len(self) == len(self.lines) else offsets[np.sort(self.order)]
        if len(self) and np.diff(offsets).min() >= _ID_PLACE + _ID_LETTERS and _all_have(letters, starts, _USER):
            found = _parts(letters, starts + _RECORD_PLACE, len(_RECORD) + _ID_LETTERS)
            if (found[:, : len(_RECORD)] == np.frombuffer(_RECORD, np.uint8)).all():
                return _numbers(found[:, len(_RECORD) :])
        return ids_of(self.content(), len(self))


def pack(lines: LineSet) -> Packed:
    """An hour's file: members of `MEMBER_ROWS` lines."""
    sha, size = hashlib.sha256(), 0
    members: list[bytes] = []
    for content in lines.contents(MEMBER_ROWS):
        sha.update(content)
        size += len(content)
        members.append(member(content))
    return Packed(b"".join(members), sha.hexdigest()[:DIGEST_LENGTH], size)


def union(contents: Iterable[bytes], limit: int | None = None) -> LineSet:
    """The set union of contents, sorted or not, each of which ends with a newline or is empty.

    Raises `TooLarge` when they come to more than `limit` bytes.
    """
    # What is copied at once leaves its memory to the next content: fresh memory costs more than the copy.
    room, size = np.empty(_ROOM, np.uint8), 0
    for content in contents:
        letters = np.frombuffer(content, np.uint8)
        end = size + len(letters)
        if limit is not None and end > limit:
            raise TooLarge(f"more than {limit:,} bytes")
        if end > len(room):
            larger = np.empty(max(end, 2 * len(room)), np.uint8)
            larger[:size] = room[:size]
            room = larger
        room[size:end] = letters
        size = end
    return LineSet.of(room[:size])


def _order(lines: pa.LargeBinaryArray, letters: Letters, offsets: _Places) -> _Places:
    """The positions of different lines in bytewise order."""
    starts, place = offsets[:-1], len(_USER)
    if not len(lines) or np.diff(offsets).min() < place + _WORD or not _all_have(letters, starts, _USER):
        every, new = _sorted(lines)
        return every[new]
    # Eight letters of a user id tell nearly all users apart. As numbers they are sorted in no time, all the more when
    # set after set is sorted already. Lines that are alike so far stand together then, and are sorted by all they hold.
    words = _parts(letters, starts + place, _WORD).view(">u8").ravel().astype(np.uint64)
    order: _Places = np.argsort(words, kind="stable")
    words = words[order]
    alike = words[1:] == words[:-1]
    tied = np.append(alike, False) | np.append(False, alike)
    if not tied.any():
        return order
    among, new = _sorted(_take(lines, order[tied]))
    order[tied] = order[tied][among]
    doubles = np.flatnonzero(tied)[~new]
    different: _Places = np.delete(order, doubles)
    return different


def _sorted(lines: pa.LargeBinaryArray) -> tuple[_Places, npt.NDArray[np.bool_]]:
    """The positions of lines in bytewise order, and of each whether it differs from the one before it."""
    order = _values(pc.sort_indices(lines), np.int64)
    lines = _take(lines, order)
    differ = _values(pc.not_equal(lines[1:], lines[:-1]).cast(pa.uint8()), np.bool_)
    return order, np.append(np.ones(min(1, len(lines)), np.bool_), differ)


def _take(lines: pa.LargeBinaryArray, order: _Places) -> pa.LargeBinaryArray:
    # Buffers go over: given a numpy array, or asked for one, Arrow imports pandas, which takes longer than most hours.
    return lines.take(pa.Array.from_buffers(pa.int64(), len(order), [None, pa.py_buffer(order)]))


def _values(array: pa.Array, kind: type[_Value]) -> npt.NDArray[_Value]:
    values: npt.NDArray[_Value] = np.frombuffer(array.buffers()[1] or b"", kind)
    return values[: len(array)]


def _offsets(lines: pa.LargeBinaryArray) -> _Places:
    return np.frombuffer(lines.buffers()[1] or bytes(_WORD), np.int64)[: len(lines) + 1]


def _content(lines: pa.LargeBinaryArray) -> memoryview:
    return memoryview(lines.buffers()[2] or b"")[: _offsets(lines)[-1]]


def _all_have(letters: Letters, places: _Places, text: bytes) -> bool:
    return bool((_parts(letters, places, len(text)) == np.frombuffer(text, np.uint8)).all())


def _parts(letters: Letters, places: _Places, number: int) -> Letters:
    """So many letters from each place on; shape (places, number)."""
    return np.lib.stride_tricks.sliding_window_view(letters, number)[places]


def _numbers(letters: Letters) -> Ids:
    """The integer that each row of letters begins with, written as `row` does."""
    negative = letters[:, 0] == ord("-")
    found, goes_on = np.zeros(len(letters), np.int64), np.ones(len(letters), np.bool_)
    for column, letter in enumerate(letters.T):
        digits = letter - np.uint8(ord("0"))
        is_digit = digits < 10
        goes_on &= is_digit if column else is_digit | negative
        if not goes_on.any():
            break
        # Downwards, for the least of all has no positive counterpart.
        found = np.where(goes_on & is_digit, found * 10 - digits, found)
    return np.where(negative, found, -found)
