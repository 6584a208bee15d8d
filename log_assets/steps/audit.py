"""Audit: what is published, what is missing, and whether an hour is sound."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice, pairwise
from operator import ge

from log_assets.catalog import Catalog, Partition
from log_assets.errors import Damaged, LogAssetsError, Unreadable, failure_of
from log_assets.hour import Hour
from log_assets.lake import Lake, layout
from log_assets.records import fast_path, ids, row
from log_assets.records.ids import Findings, Range, Reset
from log_assets.steps import generations
from log_assets.steps.capture_report import causes
from log_assets.steps.generations import read_lines
from log_assets.steps.receipts import pending, rejects_by_reason, with_rejects


@dataclass(frozen=True, slots=True)
class HourStatus:
    """One published hour; `missing` counts the ids lost before a record of this hour."""

    hour: Hour
    records: int
    bytes: int
    first_record_id: int | None
    last_record_id: int | None
    missing: int
    conflicts: int


@dataclass(frozen=True, slots=True)
class NotFetched:
    """Hours that nobody asked a source for that can still be asked, and how many ids they hold, by those around."""

    spans: list[tuple[Hour, Hour]]
    ids: int
    before: Hour

    @property
    def said(self) -> str:
        hours = ", ".join(first if first == last else f"{first} to {last}" for first, last in self.spans)
        return (
            f"not fetched: {hours} ({self.ids:,} ids): log-assets backfill --from {self.spans[0][0]} --to "
            f"{self.spans[-1][1]} (of a folder: put their files there, then log-assets poll --once)"
        )


@dataclass(frozen=True, slots=True)
class Status:
    """Every published hour and what is missing, or was only not fetched; windows that wait to be read, and since when
    the oldest; objects that could not be, and why."""

    hours: list[HourStatus]
    missing: dict[Hour, list[Range]]
    resets: list[Reset]
    rejected: int
    rejects: dict[str, int]
    waiting: int
    problems: list[str]
    waiting_since: datetime | None = None
    causes: dict[Hour, str] = field(default_factory=dict)
    not_fetched: list[NotFetched] = field(default_factory=list)

    @property
    def missing_total(self) -> int:
        return sum(hour.missing for hour in self.hours)


@dataclass(frozen=True, slots=True)
class Soundness:
    """What was found in an hour's object; `problems` is empty when it is sound."""

    records: int
    problems: list[str] = field(default_factory=list)


def findings(lake: Lake, partitions: Iterable[Partition]) -> Findings:
    """Missing ids, conflicts between hours and resets, over all that is published.

    Reads the lake only for hours with more id ranges than a catalog keeps. If their manifest cannot be read, all ids
    between the first and the last are taken for present: no loss is claimed that is not known.
    """
    return ids.compare([(partition.hour, _id_ranges(lake, partition)) for partition in partitions])


def not_fetched(found: Findings, published: Sequence[Hour]) -> tuple[Findings, list[NotFetched]]:
    """What is missing or taken for a reset because hours between were not fetched, apart from the rest.

    Args:
        found: of hours of a source that keeps its history.
        published: the hours there are, in order.
    """
    missing = {hour: list(ranges) for hour, ranges in found.missing.items()}
    resets, told = list(found.resets), []
    for gap in found.gaps:
        around = published[bisect_left(published, gap.after) : bisect_right(published, gap.before)]
        spans = [(a.plus(1), b.plus(-1)) for a, b in pairwise(around) if a.plus(1) < b]
        if not spans:
            continue
        told.append(NotFetched(spans, ids.count([gap.ids]), gap.before))
        resets = [
            one for one in resets if (one.hour, one.before, one.after - 1) != (gap.before, gap.ids[0] - 1, gap.ids[1])
        ]
        missing[gap.before] = [one for one in missing.get(gap.before, []) if one != gap.ids]
    left = {hour: ranges for hour, ranges in missing.items() if ranges}
    return Findings(left, found.conflicts, resets, found.gaps), told


def _id_ranges(lake: Lake, partition: Partition) -> tuple[Range, ...]:
    if not partition.summary.ids_complete:
        state = generations.read_again(lake, [partition.hour])[partition.hour]
        stored = state.stored.get(partition.digest, generations.Stored())
        try:
            told = generations.manifests(lake, partition.hour, partition.digest, stored)
            for generation in sorted(told, key=lambda one: not one.summary.ids_complete):
                return generation.summary.id_ranges
        except (Damaged, Unreadable):
            return ((partition.summary.id_ranges[0][0], partition.summary.id_ranges[-1][1]),)
    return partition.summary.id_ranges


def status(lake: Lake, catalog: Catalog, *, keeps: bool = False) -> Status:
    """Every published hour. Reads the catalog, and of the lake only what was rejected and captured.

    `keeps` tells that the source keeps its history: what is missing of hours in between can still be fetched.
    """
    partitions = list(catalog.partitions())
    found, unfetched = findings(lake, partitions), list[NotFetched]()
    if keeps:
        found, unfetched = not_fetched(found, [partition.hour for partition in partitions])
    rejected = with_rejects(lake)
    rejects = rejects_by_reason(rejected.found)
    hours = [
        HourStatus(
            hour=partition.hour,
            records=partition.summary.records,
            bytes=partition.summary.size,
            first_record_id=partition.summary.first_record_id,
            last_record_id=partition.summary.last_record_id,
            missing=ids.count(found.missing.get(partition.hour, [])),
            conflicts=partition.summary.conflicts + found.conflicts.get(partition.hour, 0),
        )
        for partition in partitions
    ]
    problems = [str(error) for error in rejected.failed.values()]
    waiting = pending(lake)
    since = min(map(layout.window_landed, waiting), default=None)
    return Status(
        hours,
        found.missing,
        found.resets,
        sum(rejects.values()),
        rejects,
        len(waiting),
        problems,
        waiting_since=since,
        causes={} if keeps else causes(lake, catalog, found.gaps, datetime.now(UTC)),
        not_fetched=unfetched,
    )


def soundness(lake: Lake, partition: Partition) -> Soundness:
    """Read an hour's object and check it: sorted and unique, every row of this hour, fitting the schema, lossless (if
    this row version wrote it), and as many as the catalog says."""
    try:
        with failure_of(layout.lines_key(partition.hour, partition.digest)):
            return _soundness(read_lines(lake, partition.hour, partition.digest), partition)
    except LogAssetsError as error:
        return Soundness(0, [str(error)])


def _soundness(found: list[bytes], partition: Partition) -> Soundness:
    problems = []
    if any(map(ge, found, islice(found, 1, None))):
        problems.append("lines are not sorted and unique")
    # A line of the plain form fits and is lossless by its form alone; the others are checked one by one.
    odd = fast_path.odd_lines(b"".join(found), partition.hour)
    strangers = [line for line in odd if row.hour_of_line(line) != partition.hour]
    unfit = [line for line in odd if not row.fits(line)]
    # Lines of an older version are as that one wrote them.
    is_todays = partition.summary.row_version == row.ROW_VERSION
    changed = [a for a, b in zip(odd, row.reencode(odd), strict=True) if a != b] if is_todays else []
    for bad, what in (
        (strangers, "of another hour"),
        (unfit, "not fitting the schema"),
        (changed, "not equal to their restored and shortened record"),
    ):
        if bad:
            problems.append(f"{len(bad)} rows {what}, the first: {bad[0][:200].decode(errors='replace').strip()}")
    if len(found) != partition.summary.records:
        problems.append(f"{len(found)} rows, the catalog says {partition.summary.records}")
    return Soundness(len(found), problems)
