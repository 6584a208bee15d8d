"""Asset checks: what must hold of an hour, four of them, each result on its own partition.

They are evaluated by the op that makes the assets (`assets`), for many hours at once, and logged one by one with
their partition: that is right in runs of one hour and in runs of a range alike, where a check of its own would lose
the partition (dagster#17005).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any

import dagster as dg

from log_assets.catalog import Catalog, Partition
from log_assets.catalog.table import TABLE
from log_assets.defs.keys import COMPACT_LOGS, LOGS_TABLE, RAW_LOGS
from log_assets.defs.private import CheckTarget, latest_materializations
from log_assets.errors import LogAssetsError
from log_assets.hour import Hour
from log_assets.lake import Lake, layout
from log_assets.query import QueryEngine
from log_assets.records import ids
from log_assets.steps import audit, capture_report
from log_assets.steps.capture_report import CaptureReport
from log_assets.steps.pool import Pool, serial_pool
from log_assets.steps.receipts import Receipt, rejects_by_reason, with_rejects

NO_HOLE = dg.AssetCheckKey(RAW_LOGS, "capture_had_no_hole")
NO_REJECTS = dg.AssetCheckKey(RAW_LOGS, "every_record_was_read")
NO_IDS_MISSING = dg.AssetCheckKey(COMPACT_LOGS, "no_record_id_is_missing")
SOUND = dg.AssetCheckKey(LOGS_TABLE, "hour_is_sound")

# Events that are looked up in one call, and records that are worth starting processes for.
_EVENTS_AT_ONCE = 500
_SHARED_RECORDS = 200_000

_DESCRIPTIONS = {
    NO_HOLE: (
        "No record rolled past every window: no id fell between two polls that isn't in some hour after all; and of a "
        "source that keeps no history, some window was fetched every two minutes."
    ),
    NO_REJECTS: "Every record of the windows that hold this hour could be decrypted and read; rejects are kept.",
    NO_IDS_MISSING: "The record ids go on without a gap from the hours before, and no two records share one.",
    SOUND: (
        "The hour's object is what its name promises: sorted, every row of this hour, fitting the schema, lossless; "
        "and the query engine counts as many rows as the catalog. An empty hour that nobody captured is a warning."
    ),
}

NEVER_CAPTURED = "nothing was captured: materialize raw_logs too"

KEYS = tuple(_DESCRIPTIONS)


@dataclass(frozen=True, slots=True)
class Result:
    """What one check says of one hour."""

    key: dg.AssetCheckKey
    hour: Hour
    passed: bool
    severity: dg.AssetCheckSeverity
    description: str
    metadata: Mapping[str, Any]


def specs(partitions_def: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(key.name, asset=key.asset_key, description=description, partitions_def=partitions_def)
        for key, description in _DESCRIPTIONS.items()
    ]


def evaluate(
    selected: Collection[dg.AssetCheckKey],
    lake: Lake,
    catalog: Catalog,
    query: Callable[[], QueryEngine],
    hours: Sequence[Hour],
    *,
    pool: Pool,
    captured: bool,
    never_captured: Callable[[Sequence[Hour]], set[Hour]] = lambda hours: set(),
) -> Iterator[Result]:
    """The selected checks of many hours. What costs the same for one hour and for many is asked once.

    `captured` tells whether a capturer has to run in every hour; `never_captured`, of hours without a record, which of
    them nobody asked the source for.
    """
    if not hours:
        return
    partitions = catalog.get(hours)
    if NO_HOLE in selected:
        yield from _no_hole(lake, catalog, hours, captured=captured)
    if NO_REJECTS in selected:
        yield from _no_rejects(lake, hours)
    if NO_IDS_MISSING in selected:
        yield from _no_ids_missing(lake, catalog, partitions, hours, captured=captured)
    if SOUND in selected:
        empty = [hour for hour in hours if hour in partitions and not partitions[hour].summary.records]
        yield from _sound(
            lake, query, partitions, hours, pool=pool, never_captured=never_captured(empty) if empty else set()
        )


def evaluations(instance: dg.DagsterInstance, results: Iterable[Result]) -> Iterator[dg.AssetCheckEvaluation]:
    """The results as Dagster logs them, each pointing at the latest materialization of its partition, if any."""
    targets: dict[tuple[dg.AssetKey, Hour], CheckTarget] = {}
    for asset, some in groupby(results, lambda result: result.key.asset_key):
        found = list(some)
        targets |= _targets(instance, asset, [result.hour for result in found if (asset, result.hour) not in targets])
        for result in found:
            yield dg.AssetCheckEvaluation(
                asset_key=asset,
                check_name=result.key.name,
                passed=result.passed,
                severity=result.severity,
                description=result.description,
                metadata=result.metadata,
                partition=result.hour,
                target_materialization_data=targets.get((asset, result.hour)),
            )


def _targets(
    instance: dg.DagsterInstance, asset: dg.AssetKey, hours: Sequence[Hour]
) -> dict[tuple[dg.AssetKey, Hour], CheckTarget]:
    latest = latest_materializations(instance, asset, hours, _EVENTS_AT_ONCE) if hours else {}
    return {(asset, Hour(hour)): target for hour, target in latest.items()}


def _capture_said(report: CaptureReport, *, captured: bool) -> tuple[bool, str]:
    """Whether nothing is known to be amiss with the capture of an hour, and what there is to say."""
    if report.unreadable:
        return False, f"what capturers saw is not known: no capture log is {', '.join(report.unreadable)}"
    if not report.capturers:
        if captured:
            return False, "no capturer ran in this hour: what the source showed in it was not fetched"
        return True, "no capturer ran in this hour: its records came from history or a folder"
    holes = []
    if report.lost:
        holes.append(f"{ids.count(report.lost)} records rolled past: ids {ids.write(report.lost)}")
    if captured and report.silent:
        spans = ", ".join(f"{start:%H:%M:%S} to {end:%H:%M:%S}" for start, end in report.silent)
        holes.append(f"no window was fetched from {spans} UTC, and what the source showed then is not known")
    elif captured and (report.longest_gap or 0.0) > capture_report.SILENT.total_seconds():
        holes.append(f"no window was fetched for {report.longest_gap:.0f} s")
    return not holes, "; ".join([*holes, f"{report.polls} polls, {report.failures} failed"])


def _no_hole(lake: Lake, catalog: Catalog, hours: Sequence[Hour], *, captured: bool) -> Iterator[Result]:
    reports = capture_report.capture_reports(lake, catalog, hours, datetime.now(UTC))
    for hour in hours:
        report = reports[hour]
        passed, description = _capture_said(report, captured=captured)
        metadata: dict[str, Any] = {
            "polls": dg.MetadataValue.int(report.polls),
            "failures": dg.MetadataValue.int(report.failures),
            "windows_spooled": dg.MetadataValue.int(report.spooled),
            "ids_lost": dg.MetadataValue.text(ids.write(report.lost) or "none"),
        }
        if report.longest_gap is not None:
            metadata["longest_seconds_between_good_polls"] = dg.MetadataValue.float(round(report.longest_gap, 1))
        yield Result(NO_HOLE, hour, passed, dg.AssetCheckSeverity.WARN, description, metadata)


def _no_rejects(lake: Lake, hours: Sequence[Hour]) -> Iterator[Result]:
    by_hour: dict[Hour, list[Receipt]] = {}
    rejected = with_rejects(lake)
    for receipt in rejected.found:
        # A window of which nothing could be read belongs to the hour in which it landed.
        for hour in receipt.hours or [layout.landing_hour(receipt.window)]:
            by_hour.setdefault(hour, []).append(receipt)
    # An unreadable receipt tells no event hours: it is told at the hour in which its window landed.
    failed: dict[Hour, list[str]] = {}
    for key, error in rejected.failed.items():
        failed.setdefault(layout.hour_of(key), []).append(str(error))
    for hour in hours:
        receipts = by_hour.get(hour, [])
        reasons = rejects_by_reason(receipts)
        number = sum(reasons.values())
        description = "every record was read"
        if number:
            described = ", ".join(f"{count} of them: {reason}" for reason, count in sorted(reasons.items()))
            description = (
                f"{number} records in windows of this hour were rejected ({described}); they are kept: remove the "
                "cause, then run log-assets requeue"
            )
        if hour in failed:
            description = "; ".join([description, *failed[hour]] if number else failed[hour])
        metadata = {
            "rejected": dg.MetadataValue.int(number),
            "by_reason": dg.MetadataValue.json(reasons),
            "kept_in": dg.MetadataValue.json([receipt.rejects_key for receipt in receipts][:20]),
        }
        yield Result(
            NO_REJECTS, hour, not number and hour not in failed, dg.AssetCheckSeverity.WARN, description, metadata
        )


def _no_ids_missing(
    lake: Lake, catalog: Catalog, partitions: dict[Hour, Partition], hours: Sequence[Hour], *, captured: bool
) -> Iterator[Result]:
    every = list(catalog.partitions())
    found, unfetched = audit.findings(lake, every), list[audit.NotFetched]()
    if not captured:
        found, unfetched = audit.not_fetched(found, [partition.hour for partition in every])
    own_gaps = [gap for gap in found.gaps if gap.before in hours]
    causes = capture_report.causes(lake, catalog, own_gaps, datetime.now(UTC)) if captured else {}
    for hour in hours:
        open_hours = [one for one in unfetched if one.before == hour]
        gaps = found.missing.get(hour, [])
        own = partitions[hour].summary.conflicts if hour in partitions else 0
        conflicts = own + found.conflicts.get(hour, 0)
        resets = [f"{reset.before} → {reset.after}" for reset in found.resets if reset.hour == hour]
        said = []
        if gaps:
            lost = "were lost" if captured else "are missing"
            cause = f" ({causes[hour]})" if hour in causes else ""
            said.append(f"{ids.count(gaps)} records {lost} before records of this hour: ids {ids.write(gaps)}{cause}")
        said += [one.said for one in open_hours]
        if conflicts:
            said.append(f"{conflicts} ids are borne by two different records; both are kept")
        if resets:
            said.append(f"the source's counter was reset: {', '.join(resets)}")
        metadata = {
            "missing": dg.MetadataValue.int(ids.count(gaps)),
            "missing_ids": dg.MetadataValue.text(ids.write(gaps) or "none"),
            "conflicts": dg.MetadataValue.int(conflicts),
            "resets": dg.MetadataValue.text(", ".join(resets) or "none"),
        }
        passed = not gaps and not conflicts and not open_hours
        description = "; ".join(said) or "ids go on without a gap"
        yield Result(NO_IDS_MISSING, hour, passed, dg.AssetCheckSeverity.WARN, description, metadata)


def _sound(
    lake: Lake,
    query: Callable[[], QueryEngine],
    partitions: dict[Hour, Partition],
    hours: Sequence[Hour],
    *,
    pool: Pool,
    never_captured: set[Hour],
) -> Iterator[Result]:
    scanned, counted, problem = 0, {}, ""
    try:
        answer = query().run(
            f"SELECT hour, count(*) AS n FROM {TABLE} WHERE hour BETWEEN ? AND ? GROUP BY hour",  # noqa: S608
            [min(hours), max(hours)],
        )
        counted = {row["hour"]: row["n"] for row in answer.table.to_pylist()}
        scanned = answer.bytes_scanned
    except LogAssetsError as error:
        problem = str(error)
    published = [partitions[hour] for hour in hours if hour in partitions]
    few = sum(partition.summary.records for partition in published) < _SHARED_RECORDS
    soundness = (serial_pool() if few else pool).map(partial(audit.soundness, lake), published)
    for hour in hours:
        partition = partitions.get(hour)
        if partition is None:
            problems = ["the hour is not registered: materialize logs_table"]
            records = 0
        else:
            sound = next(soundness)
            records, problems = sound.records, list(sound.problems)
            if problem:
                problems.append(problem)
            elif counted.get(hour, 0) != partition.summary.records:
                problems.append(
                    f"the query engine counts {counted.get(hour, 0)} rows, the catalog says {partition.summary.records}"
                )
        metadata = {
            "rows_read": dg.MetadataValue.int(records),
            "rows_counted_by_the_query_engine": dg.MetadataValue.int(counted.get(hour, 0)),
            "bytes_scanned_for_this_run": dg.MetadataValue.int(scanned),
        }
        description = "; ".join(problems) or f"{records} rows, all of this hour, all lossless"
        severity = dg.AssetCheckSeverity.ERROR
        if hour in never_captured and not problems:
            # An empty hour is sound, and may be empty because nobody looked.
            problems, severity = [NEVER_CAPTURED], dg.AssetCheckSeverity.WARN
            description = f"0 rows: {NEVER_CAPTURED}"
        yield Result(SOUND, hour, not problems, severity, description, metadata)
