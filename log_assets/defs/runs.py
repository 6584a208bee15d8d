"""What Dagster's runs say of hours: which are in work, which failed, and whether a run's process is still there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import dagster as dg
import psutil

from log_assets.defs.keys import BY_TAG, FETCH_JOB, HOURS_JOB, LOGS_TABLE, SENSOR, WORK_TAG, WORKER_TAG
from log_assets.defs.private import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG, requested_backfills
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


def worker_tags() -> dict[str, str]:
    """Names this process in its run's tags: host, process id, and when it started, since ids are used again."""
    return {WORKER_TAG: f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time()}"}


def is_gone(run_tags: Mapping[str, str]) -> bool:
    """Whether the process that a run was tagged with ran on this host and does no more; unknown counts as alive."""
    host, _, rest = run_tags.get(WORKER_TAG, "").partition(" ")
    if host != socket.gethostname() or not rest:
        return False
    process, started = rest.split(" ")
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
        if run.status is dg.DagsterRunStatus.STARTED and is_gone(run.tags):
            instance.report_run_failed(run, "the process that executed this run is gone")
        else:
            hours.update(hours_of(run.tags))
    # A backfill that was just asked for has no runs yet.
    for partitions in requested_backfills(instance, LOGS_TABLE):
        hours.update(_hours(partitions))
    return hours


def _hours(partitions: Iterable[str]) -> list[Hour]:
    return [hour for partition in partitions for hour in hours_of({}, partition)]


def failures(instance: dg.DagsterInstance) -> dict[tuple[Hour, str], list[datetime]]:
    """When runs that the sensor asked for ended badly, by hour and work."""
    records = instance.get_run_records(
        filters=dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED], tags={BY_TAG: SENSOR}
        ),
        limit=_FAILURES_READ,
    )
    found: dict[tuple[Hour, str], list[datetime]] = {}
    for record in records:
        ended = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
        for entry in record.dagster_run.tags.get(WORK_TAG, "").split():
            hour, work = entry.split("=")
            found.setdefault((Hour(hour), work), []).append(ended)
    return found
