"""When things run: one sensor, level-triggered.

What to do is read from the lake at every tick, never from what Dagster remembers: windows without a receipt are
transformed, hours whose rows are not all published are stale and get a run. So nothing is lost between ticks,
restarts and failures: the next tick sees the same difference. `steps.due` has the rules that need no Dagster.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from log_assets.defs import liveness, metadata, runs
from log_assets.defs.jobs import HOURS, tidy_job
from log_assets.defs.keys import BY_TAG, HOURS_JOB, RAW_LOGS, SENSOR, TIDY_JOB, WORK_TAG
from log_assets.defs.private import RANGE_END_TAG, RANGE_START_TAG
from log_assets.errors import SettingError
from log_assets.hour import Hour, contiguous
from log_assets.ports import Ports
from log_assets.steps import due
from log_assets.steps.due import Stale
from log_assets.steps.receipts import pending
from log_assets.steps.transform import Transformed, transform_all

NOT_HERE = (
    "the web server has neither key nor rights to evaluate a tick: the daemon does, and its ticks show the result"
)


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


def build_sensor(first: Hour, rules: Rules) -> dg.SensorDefinition:
    """The sensor that transforms windows, reports `raw_logs` and requests runs for stale hours from `first` on."""

    @dg.sensor(
        name=SENSOR,
        jobs=[HOURS, tidy_job],
        minimum_interval_seconds=rules.interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads captured windows, and asks for a run for every hour whose rows are not all published.",
    )
    def stale_hours(context: dg.SensorEvaluationContext, ports: dg.ResourceParam[Ports]) -> dg.SensorResult:
        if ports.settings.without_key:
            # Asked for in the UI, by the web server's own process, which may have no rights in the lake either.
            return dg.SensorResult(skip_reason=dg.SkipReason(NOT_HERE), cursor=context.cursor)
        now = datetime.now(UTC)
        cursor = due.Cursor.from_json(context.cursor)
        lake, catalog = ports.lake(), ports.catalog()
        transformed, said, cursor = _transform(context, ports, cursor, now, rules)
        search = due.find_stale(lake, catalog, cursor, now)
        for problem in search.problems:
            context.log.error(problem)
        runs.forget_unchecked(context.instance, now)
        requests, waiting = _requests(context.instance, search.stale, first, now, rules)
        hours = sorted({hour for request in requests for hour in runs.hours_of(request.tags, request.partition_key)})
        if search.cursor.swept != cursor.swept:
            requests.append(dg.RunRequest(job_name=TIDY_JOB, run_key=f"tidy {now:%Y-%m-%d}"))
        state, alive = liveness.evaluation(ports, now)
        waiting = waiting if alive.passed else [f"capture: {alive.description}", *waiting]
        message = _message(transformed, [*said, *search.problems], hours, waiting)
        context.log.info(message)
        events: list[dg.AssetMaterialization | dg.AssetCheckEvaluation] = [
            dg.AssetMaterialization(
                RAW_LOGS,
                partition=item.hour,
                description="windows were captured and read",
                metadata=metadata.captured(item),
            )
            for item in search.stale
            if item.hour in hours
        ]
        # The event log is never pruned; and a check is shown for what was materialized before it.
        if events or state != cursor.capture:
            events.append(alive)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(message),
            cursor=replace(search.cursor, capture=state).to_json(),
            asset_events=events,
        )

    return stale_hours


def _transform(
    context: dg.SensorEvaluationContext, ports: Ports, cursor: due.Cursor, now: datetime, rules: Rules
) -> tuple[Transformed, list[str], due.Cursor]:
    """Transform windows without a receipt within the tick's budget; what a person has to know comes as sentences. A
    window that could not be read waits, longer each time, and holds up no other."""
    lake = ports.lake()
    windows = pending(lake, due.windows_since(now, cursor))
    todo = [window for window in windows if not cursor.is_waiting(window, now)]
    waiting = len(windows) - len(todo)
    said = [f"{waiting} windows could not be read and wait to be tried again"] if waiting else []
    if not todo:
        return Transformed(), said, cursor.with_failures([], windows, now)
    try:
        keyring = ports.keyring()
    except SettingError as error:
        context.log.error(str(error))
        return Transformed(), [*said, f"{len(todo)} windows wait: {error}"], cursor
    end = time.monotonic() + rules.budget_seconds
    done = transform_all(lake, keyring, todo, enough=lambda: time.monotonic() > end)
    problems = done.problems()
    for problem in problems:
        context.log.error(problem)
    if left := len(todo) - len(done.receipts) - len(done.waiting) - len(done.failed):
        said.append(f"{left} windows are left for the next tick")
    return done, [*problems, *said], cursor.with_failures(done.failed, windows, now)


def _requests(
    instance: dg.DagsterInstance, stale: Sequence[Stale], first: Hour, now: datetime, rules: Rules
) -> tuple[list[dg.RunRequest], list[str]]:
    """Run requests for the hours that are due, and a word for each that waits for something else than its time."""
    early = [item.hour for item in stale if item.hour < first]
    waiting = [f"{len(early)} hours before START_HOUR {first} have rows and wait for it to be moved"] if early else []
    candidates = [item for item in stale if item.hour >= first and due.is_due(item, now, rules.refresh)]
    if not candidates:
        return [], waiting
    busy = runs.hours_in_flight(instance)
    tries = runs.tries(instance)
    cancelled = runs.cancelled(instance, now)
    held: list[Hour] = []
    ready: dict[Hour, tuple[str, int]] = {}
    for item in candidates:
        if item.hour in busy:
            continue
        if item.hour in cancelled and item.newest <= cancelled[item.hour]:
            held.append(item.hour)
            continue
        before = tries.get((item.hour, item.work), runs.Tries())
        ended = before.failed
        if len(ended) >= rules.attempts:
            waiting.append(
                f"{item.hour} failed {len(ended)} times and is left: see its run, remove the cause, materialize it"
            )
        elif ended and now < max(ended) + rules.backoff[min(len(ended), len(rules.backoff)) - 1]:
            waiting.append(f"{item.hour} failed and is tried again in a while")
        else:
            ready[item.hour] = (item.work, len(ended) + before.cancelled)
    if held:
        waiting.append(f"cancelled, so left for a day, for new records or for you: {', '.join(_spans(held))}")
    requests = [
        _request(span[start : start + rules.range_hours], ready)
        for span in contiguous(sorted(ready))
        for start in range(0, len(span), rules.range_hours)
    ]
    return requests[: rules.requests], waiting


def _request(hours: Sequence[Hour], ready: dict[Hour, tuple[str, int]]) -> dg.RunRequest:
    work = " ".join(f"{hour}={ready[hour][0]}" for hour in hours)
    # A used run_key is skipped for ever, even if its run failed: so it names the work and the attempt.
    run_key = f"{work} attempt {sum(ready[hour][1] for hour in hours) + 1}"
    tags = {WORK_TAG: work, BY_TAG: SENSOR}
    if len(hours) == 1:
        return dg.RunRequest(run_key=run_key, job_name=HOURS_JOB, partition_key=hours[0], tags=tags)
    # A range is given to a run by tags alone (dagster#34096).
    tags |= {RANGE_START_TAG: hours[0], RANGE_END_TAG: hours[-1]}
    return dg.RunRequest(run_key=run_key, job_name=HOURS_JOB, tags=tags)


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
    return [span[0] if len(span) == 1 else f"{span[0]} to {span[-1]}" for span in contiguous(sorted(hours))]
