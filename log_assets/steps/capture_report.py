"""Capture reports: what the capture logs of an hour tell, against the ids that were published around it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from log_assets.catalog import Catalog
from log_assets.hour import Hour, hours_between
from log_assets.lake import Lake, layout, listing
from log_assets.records import ids
from log_assets.records.ids import Gap, Range
from log_assets.steps.capture_log import CaptureLog, read_log

SILENT = timedelta(minutes=2)
"""Without a good poll for so long, a rolling window may have rolled past."""


# Gaps whose cause is looked for, and hours over which.
_CAUSES, _CAUSE_HOURS = 20, 48


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


def causes(lake: Lake, catalog: Catalog, gaps: Sequence[Gap], now: datetime) -> dict[Hour, str]:
    """Why ids before a record of an hour are missing, where the capture logs around tell: when nothing was fetched."""
    told: dict[Hour, list[str]] = {}
    for gap in gaps[-_CAUSES:]:
        # A record whose clock was wrong may stand in an hour before those of lesser ids: that tells no time.
        hours = list(islice(hours_between(gap.after, gap.before), _CAUSE_HOURS + 1))
        if not hours or len(hours) > _CAUSE_HOURS:
            continue
        spans: list[tuple[datetime, datetime]] = []
        for hour, report in capture_reports(lake, catalog, hours, now).items():
            for start, end in report.silent if report.capturers else [(hour.start, hour.end)]:
                if spans and spans[-1][1] == start:
                    spans[-1] = (spans[-1][0], end)
                else:
                    spans.append((start, end))
        told.setdefault(gap.before, []).extend(f"{start:%d %H:%M} to {end:%d %H:%M}" for start, end in spans)
    return {hour: f"no capture from {', '.join(dict.fromkeys(spans))} UTC" for hour, spans in told.items() if spans}


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
