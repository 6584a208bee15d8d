"""When things run: one sensor, level-triggered.

What to do is read from the lake at every tick, never from what Dagster remembers: windows without a receipt are
transformed, hours whose rows are not all published are stale and get a run. So nothing is lost between ticks,
restarts and failures: the next tick sees the same difference. `steps.due` has the rules that need no Dagster.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from log_assets import worker
from log_assets.asset_keys import COMPACT, RAW, TABLE
from log_assets.errors import SettingError
from log_assets.hour import Hour, contiguous, hours_between
from log_assets.lake import Lake
from log_assets.resources import CatalogResource, KeyResource, LakeResource
from log_assets.steps import due
from log_assets.steps.due import Stale
from log_assets.steps.fetch import Transformed, transform_all
from log_assets.steps.tidy import tidy
from log_assets.steps.transform import pending

SENSOR = "stale_hours"
HOURS_JOB = "publish_hours"
FETCH_JOB = "fetch_and_publish_hours"
TIDY_JOB = "tidy"
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Failed work that is older than so many failed runs is tried afresh.
_FAILURES_READ = 500
WORK_TAG = "log_assets/work"
BY_TAG = "log_assets/by"


@dataclass(frozen=True, slots=True)
class Rules:
    """How the sensor paces itself.

    Attributes:
        refresh: how often the hour in progress, or one with late records, is compacted; 0: only when closed.
        interval_seconds: between two ticks.
        budget_seconds: how long a tick may transform windows; the rest waits for the next.
        requests: runs a tick may ask for.
        range_hours: hours in one run.
        attempts: how often the same work is tried; `backoff` is the wait before each further attempt.
    """

    refresh: timedelta = timedelta(minutes=15)
    interval_seconds: int = 30
    budget_seconds: float = 20.0
    requests: int = 5
    range_hours: int = 100
    attempts: int = 3
    backoff: tuple[timedelta, ...] = (timedelta(minutes=1), timedelta(minutes=10))


HOURS = dg.define_asset_job(
    HOURS_JOB,
    selection=dg.AssetSelection.assets(COMPACT, TABLE) | dg.AssetSelection.checks_for_assets(RAW, COMPACT, TABLE),
    description="Compacts, publishes and checks hours.",
)
FETCH = dg.define_asset_job(
    FETCH_JOB,
    selection=dg.AssetSelection.assets(RAW, COMPACT, TABLE) | dg.AssetSelection.checks_for_assets(RAW, COMPACT, TABLE),
    description="Asks the source for hours first, then compacts, publishes and checks them.",
)


@dg.op(description="Removes rows files and generations that the published ones have made superfluous.")
def tidy_lake(context: dg.OpExecutionContext, lake: LakeResource, catalog: CatalogResource) -> None:
    done = tidy(lake.open(), catalog.open(), datetime.now(UTC))
    context.log.info(
        f"removed {done.rows} rows files, {done.generations} generations, {done.staged} half-written files"
    )


@dg.job(name=TIDY_JOB, description="Once a day, asked for by the sensor.")
def tidy_job() -> None:
    tidy_lake()


def build_sensor(first: Hour, rules: Rules) -> dg.SensorDefinition:
    """The sensor that transforms windows, reports `raw_logs` and requests runs for stale hours from `first` on."""

    @dg.sensor(
        name=SENSOR,
        jobs=[HOURS, tidy_job],
        minimum_interval_seconds=rules.interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads captured windows, and asks for a run for every hour whose rows are not all published.",
    )
    def stale_hours(
        context: dg.SensorEvaluationContext, lake: LakeResource, catalog: CatalogResource, key: KeyResource
    ) -> dg.SensorResult:
        now = datetime.now(UTC)
        cursor = due.Cursor.from_json(context.cursor)
        the_lake, the_catalog = lake.open(), catalog.open()
        transformed, said = _transform(context, the_lake, key, due.windows_since(now, cursor), rules)
        stale, next_cursor = due.look(the_lake, the_catalog, cursor, now)
        requests, waiting = _requests(context.instance, stale, first, now, rules)
        hours = sorted({hour for request in requests for hour in hours_of(request.tags, request.partition_key)})
        if next_cursor.swept != cursor.swept:
            requests.append(dg.RunRequest(job_name=TIDY_JOB, run_key=f"tidy {now:%Y-%m-%d}"))
        message = _message(transformed, said, hours, waiting)
        context.log.info(message)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(message),
            cursor=next_cursor.to_json(),
            asset_events=[
                dg.AssetMaterialization(RAW, partition=hour, description="windows were captured and read")
                for hour in hours
            ],
        )

    return stale_hours


def _transform(
    context: dg.SensorEvaluationContext, lake: Lake, key: KeyResource, since: Hour | None, rules: Rules
) -> tuple[Transformed, list[str]]:
    """Transform windows without a receipt within the tick's budget; what a person has to know comes as sentences."""
    windows = pending(lake, since)
    if not windows:
        return Transformed(), []
    try:
        keyring = key.keyring()
    except SettingError as error:
        context.log.error(str(error))
        return Transformed(), [f"{len(windows)} windows wait: {error}"]
    end = time.monotonic() + rules.budget_seconds
    done = transform_all(lake, keyring, windows, enough=lambda: time.monotonic() > end)
    problems = done.problems()
    for problem in problems:
        context.log.error(problem)
    left = len(windows) - len(done.receipts) - len(done.waiting) - len(done.failed)
    return done, problems + ([f"{left} windows are left for the next tick"] if left else [])


def _requests(
    instance: dg.DagsterInstance, stale: Sequence[Stale], first: Hour, now: datetime, rules: Rules
) -> tuple[list[dg.RunRequest], list[str]]:
    """Run requests for the hours that are due, and a word for each that waits for something else than its time."""
    early = [item.hour for item in stale if item.hour < first]
    waiting = [f"{len(early)} hours before START_HOUR {first} have rows and wait for it to be moved"] if early else []
    candidates = [item for item in stale if item.hour >= first and due.is_due(item, now, rules.refresh)]
    if not candidates:
        return [], waiting
    busy = _hours_in_flight(instance)
    failures = _failures(instance)
    ready: dict[Hour, tuple[str, int]] = {}
    for item in candidates:
        if item.hour in busy:
            continue
        ended = failures.get((item.hour, item.work), [])
        if len(ended) >= rules.attempts:
            waiting.append(
                f"{item.hour} failed {len(ended)} times and is left: look at its run, mend the cause, materialize it"
            )
        elif ended and now < max(ended) + rules.backoff[min(len(ended), len(rules.backoff)) - 1]:
            waiting.append(f"{item.hour} failed and is tried again in a while")
        else:
            ready[item.hour] = (item.work, len(ended))
    requests = [
        _request(run[start : start + rules.range_hours], ready)
        for run in contiguous(sorted(ready))
        for start in range(0, len(run), rules.range_hours)
    ]
    return requests[: rules.requests], waiting


def _request(hours: Sequence[Hour], ready: dict[Hour, tuple[str, int]]) -> dg.RunRequest:
    work = " ".join(f"{hour}={ready[hour][0]}" for hour in hours)
    # A used run_key is skipped for ever, even if its run failed: so it names the work and the attempt.
    run_key = f"{work} attempt {sum(ready[hour][1] for hour in hours) + 1}"
    tags = {WORK_TAG: work, BY_TAG: SENSOR}
    if len(hours) == 1:
        return dg.RunRequest(run_key=run_key, job_name=HOURS_JOB, partition_key=hours[0], tags=tags)
    tags |= {ASSET_PARTITION_RANGE_START_TAG: hours[0], ASSET_PARTITION_RANGE_END_TAG: hours[-1]}
    return dg.RunRequest(run_key=run_key, job_name=HOURS_JOB, tags=tags)


def hours_of(tags: Mapping[str, str], partition_key: str | None = None) -> list[Hour]:
    """The hours that a run is for, of one partition or of a range."""
    start, end = tags.get(ASSET_PARTITION_RANGE_START_TAG), tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if start and end:
        return list(hours_between(Hour(start), Hour(end)))
    partition = partition_key or tags.get(PARTITION_NAME_TAG)
    return [Hour(partition)] if partition else []


def _hours_in_flight(instance: dg.DagsterInstance) -> set[Hour]:
    """Hours that some unfinished run publishes, whoever asked for it. A run whose process is gone is marked as failed:
    Dagster's default launcher doesn't notice, and its hours would wait for ever."""
    runs = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)):
        if run.status is dg.DagsterRunStatus.STARTED and worker.is_gone(run.tags):
            instance.report_run_failed(run, "the process that executed this run is gone")
        else:
            runs.append(run)
    publishing = [run for run in runs if run.asset_selection is None or TABLE in run.asset_selection]
    hours = {hour for run in publishing for hour in hours_of(run.tags)}
    # A backfill that was just asked for has no runs yet.
    for backfill in instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
        data = backfill.asset_backfill_data
        if data and TABLE in data.target_subset.asset_keys:
            hours |= set(map(Hour, data.target_subset.get_partitions_subset(TABLE).get_partition_keys()))
    return hours


def _failures(instance: dg.DagsterInstance) -> dict[tuple[Hour, str], list[datetime]]:
    """When runs of the sensor's ended badly, by hour and work."""
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


def _message(done: Transformed, said: Sequence[str], hours: Sequence[Hour], waiting: Sequence[str]) -> str:
    parts = []
    if done.receipts:
        kept = sum(receipt.kept for receipt in done.receipts)
        rejected = sum(receipt.rejected for receipt in done.receipts)
        parts.append(f"read {len(done.receipts)} windows: {kept} records, {rejected} rejected")
    parts += said
    if hours:
        parts.append(f"asked for {len(hours)} hours: {', '.join(_spans(hours))}")
    parts += waiting
    return "; ".join(parts) or "nothing new: every window is read, every hour that is due is published"


def _spans(hours: Iterable[Hour]) -> list[str]:
    return [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in contiguous(sorted(hours))]
