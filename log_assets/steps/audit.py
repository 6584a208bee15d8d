"""Audit: what is published, what is missing, and whether an hour is sound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from operator import ge

from log_assets.catalog import Catalog, Partition
from log_assets.errors import Damaged, LogAssetsError, Unreadable, failure_of
from log_assets.hour import Hour
from log_assets.lake import Lake, layout, listing
from log_assets.records import fast_path, ids, row
from log_assets.records.ids import Findings, Range, Reset
from log_assets.steps import generations
from log_assets.steps.capture_log import CaptureLog, read_log
from log_assets.steps.generations import read_lines
from log_assets.steps.receipts import pending, rejects_by_reason, with_rejects

SILENT = timedelta(minutes=2)
"""Without a good poll for so long, a rolling window may have rolled past."""


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
class Status:
    """Every published hour and what is missing; windows that wait to be read, and since when the oldest; objects that
    could not be, and why."""

    hours: list[HourStatus]
    missing: dict[Hour, list[Range]]
    resets: list[Reset]
    rejected: int
    rejects: dict[str, int]
    waiting: int
    problems: list[str]
    waiting_since: datetime | None = None

    @property
    def missing_total(self) -> int:
        return sum(hour.missing for hour in self.hours)


@dataclass(frozen=True, slots=True)
class CaptureReport:
    """What the capture logs of an hour tell.

    Attributes:
        capturers: how many wrote a log; none when the hour came from history.
        polls, failures: summed over them.
        longest_gap: the longest time between two good polls of the best capturer, in seconds.
        lost: ids that rolled past every window and stand in no published hour around.
        spooled: how many windows waited for the lake.
        silent: spans of the hour of more than two minutes, up to now, in which no capturer polled well; unknown, and
            so none, when a log tells no times (those of 0.1.0).
        unreadable: capture logs that tell nothing, by key.
    """

    capturers: int
    polls: int
    failures: int
    longest_gap: float | None
    lost: tuple[Range, ...]
    spooled: int
    unreadable: tuple[str, ...] = ()
    silent: tuple[tuple[datetime, datetime], ...] = ()


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


def status(lake: Lake, catalog: Catalog) -> Status:
    """Every published hour. Reads the catalog, and of the lake only what was rejected."""
    partitions = list(catalog.partitions())
    found = findings(lake, partitions)
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
    return Status(hours, found.missing, found.resets, sum(rejects.values()), rejects, len(waiting), problems, since)


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


def capture_reports(lake: Lake, catalog: Catalog, hours: Sequence[Hour], now: datetime) -> dict[Hour, CaptureReport]:
    """What the capture logs of each hour tell, against the ids published around it; one listing for all hours."""
    first, last = min(hours), max(hours)
    listed: defaultdict[str, list[str]] = defaultdict(list)
    for entry in listing.objects(lake, layout.CAPTURE, layout.hour_folder(layout.CAPTURE, first), last):
        listed[layout.folder_of(entry.key)].append(entry.key)
    logged = [hour for hour in hours if hour in listed]
    known: dict[Hour, tuple[Range, ...]] = {}
    if logged:
        around = catalog.partitions(first.plus(-1), last.plus(1))
        known = {partition.hour: partition.summary.id_ranges for partition in around}
    return {
        hour: _capture_report(
            hour,
            min(now, hour.end),
            {key: read_log(lake, key) for key in listed[hour]},
            [pair for near in (hour.plus(-1), hour, hour.plus(1)) for pair in known.get(near, ())],
        )
        for hour in hours
    }


def _silent(logs: Sequence[CaptureLog], hour: Hour, end: datetime) -> tuple[tuple[datetime, datetime], ...]:
    if not all(log.first_poll for log in logs):
        return ()
    # One that only failed has its last good poll before its first one of this hour, or none.
    covered = sorted(
        (log.first_poll, log.last_good)
        for log in logs
        if log.first_poll and log.last_good and log.first_poll <= log.last_good
    )
    found, reached = [], hour.start
    for first, last in [*covered, (end, end)]:
        if first - reached > SILENT:
            found.append((reached, first))
        reached = max(reached, last)
    return tuple(found)


def _capture_report(
    hour: Hour, end: datetime, found: Mapping[str, CaptureLog | None], known: Sequence[Range]
) -> CaptureReport:
    logs = [log for log in found.values() if log is not None]
    gaps = [log.longest_gap_seconds for log in logs if log.longest_gap_seconds is not None]
    lost = ids.merge(pair for log in logs for pair in log.lost_ids)
    return CaptureReport(
        capturers=len(logs),
        polls=sum(log.polls for log in logs),
        failures=sum(log.failures for log in logs),
        longest_gap=min(gaps) if gaps else None,
        lost=ids.subtract(lost, known),
        spooled=sum(len(log.spooled) for log in logs),
        unreadable=tuple(key for key, log in found.items() if log is None),
        silent=_silent(logs, hour, end),
    )
