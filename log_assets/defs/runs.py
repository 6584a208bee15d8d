"""What Dagster's runs say of hours: which are in work, which failed, and whether a run's process is still there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
import psutil

from log_assets.defs.keys import BY_TAG, FETCH_JOB, HOURS_JOB, LOGS_TABLE, SENSOR, WORK_TAG, WORKER_TAG
from log_assets.defs.private import (
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    cancelled_backfills,
    forget_planned_checks,
    requested_backfills,
)
from log_assets.errors import HourError
from log_assets.hour import Hour, hours_between

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Failed work that is older than so many failed runs is tried afresh.
_FAILURES_READ = 500
_CANCELLED_READ = 100
# What a person cancelled waits so long for the person, unless there are new rows.
CANCELLED_WAITS = timedelta(days=1)


def worker_tags(run_id: str) -> dict[str, str]:
    """Names this process in the tags of its run: host, process id, and when it started, since ids are used again. And
    the run itself, since one that is executed again has the tags of the first."""
    return {WORKER_TAG: f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time()} {run_id}"}


def is_this_process(run: dg.DagsterRun) -> bool:
    """Whether this process asked for the run, and did not only take it up: the command line does."""
    return run.tags.get(WORKER_TAG) == worker_tags(run.run_id)[WORKER_TAG]


def is_gone(run: dg.DagsterRun) -> bool:
    """Whether the process that a run was tagged with ran on this host and does no more; unknown counts as alive."""
    host, _, rest = run.tags.get(WORKER_TAG, "").partition(" ")
    if host != socket.gethostname() or not rest:
        return False
    process, started, *of = rest.split(" ")
    if of != [run.run_id] and (of or run.status is not dg.DagsterRunStatus.STARTED):
        return False
    try:
        return psutil.Process(int(process)).create_time() != float(started)
    except psutil.NoSuchProcess:
        return True


def hours_of(tags: Mapping[str, str], partition_key: str | None = None) -> list[Hour]:
    """The hours that a run of ours is for, of one partition or of a range; partitions that are no hours are none."""
    start, end = tags.get(RANGE_START_TAG), tags.get(RANGE_END_TAG)
    try:
        if start and end:
            return list(hours_between(Hour(start), Hour(end)))
        partition = partition_key or tags.get(PARTITION_TAG)
        return [Hour(partition)] if partition else []
    except HourError:
        return []


def publishes(run: dg.DagsterRun) -> bool:
    """Whether a run publishes hours of ours: other pipelines may run in the same instance, with partitions of theirs.

    A run of a job that selects nothing runs all of the job; so do those that the command line launches.
    """
    if run.asset_selection:
        return LOGS_TABLE in run.asset_selection
    return run.job_name in (HOURS_JOB, FETCH_JOB)


def hours_in_flight(instance: dg.DagsterInstance) -> set[Hour]:
    """Hours that some unfinished run publishes, whoever asked for it. A run whose process is gone is marked as failed:
    Dagster's default launcher doesn't notice, and its hours would wait for ever."""
    hours: set[Hour] = set()
    for run in filter(publishes, instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED))):
        if is_gone(run) and run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, "the process that executed this run is gone")
        elif is_gone(run):
            instance.report_run_failed(run, "the process that executed this run is gone")
        else:
            hours.update(hours_of(run.tags))
    # A backfill that was just asked for has no runs yet.
    for partitions in requested_backfills(instance, LOGS_TABLE):
        hours.update(_hours(partitions))
    return hours


def _hours(partitions: Iterable[str]) -> list[Hour]:
    return [hour for partition in partitions for hour in hours_of({}, partition)]


def cancelled(instance: dg.DagsterInstance, now: datetime) -> dict[Hour, datetime]:
    """When hours were cancelled last, by whoever had asked for them: runs, and backfills that had none yet."""
    found: dict[Hour, datetime] = {}

    def add(hours: Iterable[Hour], ended: datetime) -> None:
        if ended > now - CANCELLED_WAITS:
            found.update({hour: max(ended, found.get(hour, ended)) for hour in hours})

    for record in _cancelled_runs(instance, now):
        add(hours_of(record.dagster_run.tags), _ended(record))
    for ended, partitions in cancelled_backfills(instance, LOGS_TABLE, _CANCELLED_READ):
        add(_hours(partitions), datetime.fromtimestamp(ended, UTC) if ended else now)
    return found


def forget_unchecked(instance: dg.DagsterInstance, now: datetime) -> None:
    """What cancelled runs did not come to check is not shown as checks that did not run."""
    for record in _cancelled_runs(instance, now):
        forget_planned_checks(instance, record.dagster_run.run_id)


def _cancelled_runs(instance: dg.DagsterInstance, now: datetime) -> list[dg.RunRecord]:
    of_day = dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELED], updated_after=now - CANCELLED_WAITS)
    return [record for record in instance.get_run_records(filters=of_day) if publishes(record.dagster_run)]


@dataclass(slots=True)
class Tries:
    """How often the sensor asked for some work in vain: when it failed, and how often it was cancelled."""

    failed: list[datetime] = field(default_factory=list)
    cancelled: int = 0


def tries(instance: dg.DagsterInstance) -> dict[tuple[Hour, str], Tries]:
    """What became of runs that the sensor asked for and that ended badly, by hour and work."""
    records = instance.get_run_records(
        filters=dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED], tags={BY_TAG: SENSOR}
        ),
        limit=_FAILURES_READ,
    )
    found: dict[tuple[Hour, str], Tries] = {}
    for record in records:
        for entry in record.dagster_run.tags.get(WORK_TAG, "").split():
            hour, work = entry.split("=")
            of_work = found.setdefault((Hour(hour), work), Tries())
            if record.dagster_run.status is dg.DagsterRunStatus.CANCELED:
                of_work.cancelled += 1
            else:
                of_work.failed.append(_ended(record))
    return found


def _ended(record: dg.RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
