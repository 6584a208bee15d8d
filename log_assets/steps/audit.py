"""Audit: what is published, what is missing, and whether an hour is sound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import ge
from typing import Any

import orjson

from log_assets.catalog import Catalog, Partition
from log_assets.errors import LogAssetsError
from log_assets.hour import Hour
from log_assets.lake import Lake, layout
from log_assets.records import fast_path, ids, row
from log_assets.records.ids import Findings, Range, Reset
from log_assets.steps import generations
from log_assets.steps.generations import read_lines
from log_assets.steps.receipts import rejects_by_reason, with_rejects


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
    hours: list[HourStatus]
    missing: dict[Hour, list[Range]]
    resets: list[Reset]
    rejected: int
    rejects: dict[str, int]

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
    """

    capturers: int
    polls: int
    failures: int
    longest_gap: float | None
    lost: tuple[Range, ...]
    spooled: int


@dataclass(frozen=True, slots=True)
class Soundness:
    """What was found in an hour's object; `problems` is empty when it is sound."""

    records: int
    problems: list[str] = field(default_factory=list)


def findings(lake: Lake, partitions: Iterable[Partition]) -> Findings:
    """Missing ids, conflicts between hours and resets, over all that is published.

    Reads the lake only for hours with more id ranges than a catalog keeps.
    """
    return ids.compare([(partition.hour, _id_ranges(lake, partition)) for partition in partitions])


def _id_ranges(lake: Lake, partition: Partition) -> tuple[Range, ...]:
    if not partition.summary.ids_complete:
        state = generations.read_again(lake, [partition.hour])[partition.hour]
        stored = state.stored.get(partition.digest, generations.Stored())
        for generation in generations.manifests(lake, partition.hour, partition.digest, stored):
            return generation.summary.id_ranges
    return partition.summary.id_ranges


def status(lake: Lake, catalog: Catalog) -> Status:
    """Every published hour. Reads the catalog, and of the lake only what was rejected."""
    partitions = list(catalog.partitions())
    found = findings(lake, partitions)
    rejects = rejects_by_reason(with_rejects(lake))
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
    return Status(hours, found.missing, found.resets, sum(rejects.values()), rejects)


def soundness(lake: Lake, partition: Partition) -> Soundness:
    """Read an hour's object and check it: sorted and unique, every row of this hour, fitting the schema, lossless (if
    this row version wrote it), and as many as the catalog says."""
    try:
        found = read_lines(lake, partition.hour, partition.digest)
    except LogAssetsError as error:
        return Soundness(0, [str(error)])
    problems = []
    if any(map(ge, found, islice(found, 1, None))):
        problems.append("lines are not sorted and unique")
    # What a plain line says holds by its form alone; the others are looked at one by one.
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


def capture_reports(lake: Lake, catalog: Catalog, hours: Sequence[Hour]) -> dict[Hour, CaptureReport]:
    """What the capture logs of each hour tell, against the ids published around it; one listing for all hours."""
    first, last = min(hours), max(hours)
    listed: defaultdict[str, list[str]] = defaultdict(list)
    for entry in lake.entries(layout.CAPTURE, layout.hour_folder(layout.CAPTURE, first), last):
        listed[layout.folder_of(entry.key)].append(entry.key)
    logged = [hour for hour in hours if hour in listed]
    known: dict[Hour, tuple[Range, ...]] = {}
    if logged:
        around = catalog.partitions(first.plus(-1), last.plus(1))
        known = {partition.hour: partition.summary.id_ranges for partition in around}
    return {
        hour: _capture_report(
            [orjson.loads(lake.get(key)) for key in listed[hour]],
            [pair for near in (hour.plus(-1), hour, hour.plus(1)) for pair in known.get(near, ())],
        )
        for hour in hours
    }


def _capture_report(logs: Sequence[dict[str, Any]], known: Sequence[Range]) -> CaptureReport:
    gaps = [log["longest_gap_seconds"] for log in logs if log["longest_gap_seconds"] is not None]
    lost = ids.merge((first, last) for log in logs for first, last in log["lost_ids"])
    return CaptureReport(
        capturers=len(logs),
        polls=sum(log["polls"] for log in logs),
        failures=sum(log["failures"] for log in logs),
        longest_gap=min(gaps) if gaps else None,
        lost=ids.subtract(lost, known),
        spooled=sum(len(log["spooled"]) for log in logs),
    )
