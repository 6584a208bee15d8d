"""Record ids as ranges: what an hour holds, what is missing between hours, and where the counter was reset.

The source counts records up by one, so every id between two seen ones that stands in no hour is a lost record.
Ids are compared only within an *era*, from one reset of the counter to the next:

- an hour whose least id is below the least id of the hour before it went backwards past an hour: a new era
  begins there, with the ids below that mark; its other ids still belong to the old one;
- a step of more than `RESET_JUMP` between two neighbouring ids of an era is a reset too, and no loss.

`athena_sql/queries/missing_record_ids.sql` says the same in SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from log_assets.hour import Hour

RESET_JUMP = 1_000_000

Range = tuple[int, int]
"""First and last id, both included."""

Ids = npt.NDArray[np.int64]

# user_id is the first column and record_id the second, so both stand at the start of a line, if at all. Anywhere else
# in a line the quotes of such a text would be escaped.
_ID_OF_A_USER = re.compile(rb'\{"user_id":"[^"]{44}","record_id":(-?\d+)')
_RECORD_ID = re.compile(rb'^\{(?:"user_id":"[^"]*",)?"record_id":(-?\d+)', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reset:
    """The source's counter jumped: the hour where the new era begins, the ids before and after the jump."""

    hour: Hour
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids that are in no hour, between the hours of the records before and after them."""

    after: Hour
    before: Hour
    ids: Range


@dataclass(frozen=True, slots=True)
class Findings:
    """What the ids of many hours tell; ranges stand under the hour of the first record after them. `gaps` are those of
    `missing`, and the jumps that are taken for resets."""

    missing: dict[Hour, list[Range]] = field(default_factory=dict)
    conflicts: dict[Hour, int] = field(default_factory=dict)
    resets: list[Reset] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def is_range(first: object, last: object) -> bool:
    """Whether two values that came from outside are the first and last id of a range."""
    numbers = type(first) is int and type(last) is int
    return numbers and -(2**63) <= first <= last < 2**63  # type: ignore[operator]


def count(ranges: Iterable[Range]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def ranges_of(ids: Sequence[int] | Ids) -> tuple[Range, ...]:
    """Ids in any order, duplicates allowed, as sorted disjoint ranges that do not touch."""
    ordered = np.sort(np.asarray(ids, np.int64))
    if not ordered.size:
        return ()
    # A difference of 0 is a duplicate, and in its range already. Between -2**63 and 2**63 - 1 the difference overflows
    # to -1: a gap like any other.
    differences = np.diff(ordered)
    gaps_after = np.flatnonzero((differences != 1) & (differences != 0))
    firsts, lasts = ordered[np.append(0, gaps_after + 1)], ordered[np.append(gaps_after, ordered.size - 1)]
    return tuple(zip(firsts.tolist(), lasts.tolist(), strict=True))


def merge(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Ranges in any order, as sorted disjoint ranges that do not touch."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def subtract(ranges: Iterable[Range], known: Iterable[Range]) -> tuple[Range, ...]:
    """What of `ranges` lies in none of the `known` ones."""
    left: list[Range] = []
    others = merge(known)
    for start, last in merge(ranges):
        first = start
        for known_first, known_last in others:
            if known_last < first:
                continue
            if known_first > last:
                break
            if known_first > first:
                left.append((first, known_first - 1))
            first = known_last + 1
        if first <= last:
            left.append((first, last))
    return tuple(left)


def gaps(ranges: Sequence[Range]) -> list[Range]:
    """The ids between sorted disjoint ranges."""
    return [(a[1] + 1, b[0] - 1) for a, b in pairwise(ranges)]


def ids_of(content: bytes, lines: int) -> Ids:
    """The `record_id` column of so many lines, in their order; lines without one are left out."""
    found = _ID_OF_A_USER.findall(content)
    if len(found) != lines:
        found = _RECORD_ID.findall(content)
    return np.array(found, "S20").astype(np.int64)


def compare(hours: Sequence[tuple[Hour, Sequence[Range]]]) -> Findings:
    """Missing ids, ids in more than one hour, and resets, of hours in order of time with their id ranges."""
    findings = Findings()
    eras: list[list[tuple[int, int, Hour]]] = [[]]
    floor: int | None = None
    for hour, ranges in hours:
        if not ranges:
            continue
        least = ranges[0][0]
        if floor is not None and least < floor:
            findings.resets.append(Reset(hour, max(last for _, last, _ in eras[-1]), least))
            eras.append([(first, min(last, floor - 1), hour) for first, last in ranges if first < floor])
            eras[-2] += [(max(first, floor), last, hour) for first, last in ranges if last >= floor]
        else:
            eras[-1] += [(first, last, hour) for first, last in ranges]
        floor = least
    for era in eras:
        _compare_era(sorted(era), findings)
    findings.resets.sort(key=lambda reset: reset.hour)
    return findings


def _compare_era(era: list[tuple[int, int, Hour]], findings: Findings) -> None:
    top, top_hour = None, None
    for first, last, hour in era:
        if top is not None and top_hour is not None:
            if first > top + 1:
                findings.gaps.append(Gap(top_hour, hour, (top + 1, first - 1)))
            if first - top > RESET_JUMP:
                findings.resets.append(Reset(hour, top, first))
            elif first > top + 1:
                findings.missing.setdefault(hour, []).append((top + 1, first - 1))
            elif first <= top:
                later = max(hour, top_hour)
                findings.conflicts[later] = findings.conflicts.get(later, 0) + min(last, top) - first + 1
        if top is None or last > top:
            top, top_hour = last, hour


def write(ranges: Iterable[Range]) -> str:
    """Ranges as people read them: ``5822-5861, 5870``. Ids below zero are kept apart by ``..``."""
    return ", ".join(str(a) if a == b else f"{a}-{b}" if a >= 0 else f"{a}..{b}" for a, b in ranges)


def duplicates(ids: Sequence[int] | Ids) -> int:
    """How many ids stand there more than once."""
    ordered = np.sort(np.asarray(ids, np.int64))
    same = ordered[1:] == ordered[:-1]
    # An id that stands there n times makes n - 1 equal pairs in a row: only the first of them counts.
    return int(np.count_nonzero(same[:1]) + np.count_nonzero(same[1:] & ~same[:-1]))
