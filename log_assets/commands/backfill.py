"""A backfill from the command line: one Dagster run over a range of hours, with a progress bar."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from log_assets.commands.signals import stopped_by_signals
from log_assets.definitions import build_defs
from log_assets.defs import checks, runs
from log_assets.defs.hours_run import FAILED_HOURS
from log_assets.defs.keys import COMPACT_LOGS, FETCH_JOB, HOURS_JOB, LOGS_TABLE, RAW_LOGS
from log_assets.defs.private import RANGE_END_TAG, RANGE_START_TAG, StepFailureData, instance_without_capture
from log_assets.errors import HourError
from log_assets.hour import Hour, hours_between
from log_assets.ports import Ports
from log_assets.steps.receipts import pending
from log_assets.steps.transform import transform_all

_REFRESH_SECONDS = 0.5
_COLUMNS = (TextColumn("{task.description:<13}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
# Results an hour.
_CHECKS = len(checks.KEYS)
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class Backfilled:
    """How a backfill ended.

    Attributes:
        unread: what could not be read.
        run_id: Dagster's run.
        done: hours that are published.
        failed: why others are not.
        left: hours that the run did not come to.
        unchecked: hours that are done, and that the run did not come to check.
        broken: why the run ended before its end; None when it did not.
    """

    unread: list[str]
    run_id: str
    done: list[Hour]
    failed: dict[Hour, str]
    left: list[Hour]
    unchecked: list[Hour]
    broken: str | None


def backfill(ports: Ports, first: Hour, last: Hour, *, console: Console) -> Backfilled:
    """Materialize every hour from `first` to `last`, both included, in one run that Dagster's UI shows.

    Captured windows that wait to be read are read first. A source with history is asked for the hours, too.

    Args:
        ports: as the settings name them; DAGSTER_HOME is taken from these.
        first, last: closed hours or the one in progress, none before START_HOUR.
        console: where the progress bar goes.

    Raises:
        HourError: the range is empty, before START_HOUR or in the future.
    """
    settings = ports.settings
    fetch = _has_history(ports)
    start, now = settings.first_hour(datetime.now(UTC)), Hour.of(datetime.now(UTC))
    if last < first:
        raise HourError(f"no hour lies between {first} and {last}: --from comes first")
    if first < start:
        raise HourError(f"{first} lies before START_HOUR {start}: move START_HOUR in .env, or begin there")
    if last > now:
        raise HourError(f"{last} lies in the future: the hour in progress is {now}")
    hours = list(hours_between(first, last))
    unread = _read_windows(ports, console)
    run_id = str(uuid.uuid4())
    job = build_defs(settings=settings).resolve_job_def(FETCH_JOB if fetch else HOURS_JOB)
    # With the process that runs it, from the first: one that is killed before its step holds no hour for ever.
    tags = {RANGE_START_TAG: first, RANGE_END_TAG: last, **runs.worker_tags(run_id)}
    result: dg.ExecuteInProcessResult | None = None
    with instance_without_capture(str(settings.dagster_folder())) as instance:
        try:
            with _progress(instance, run_id, len(hours), fetch, console), _stopped_between_events(instance, run_id):
                result = job.execute_in_process(
                    run_config=_QUIET, instance=instance, run_id=run_id, tags=tags, raise_on_error=False
                )
        except KeyboardInterrupt:
            _end(instance, run_id, None)
        except BaseException as error:
            _end(instance, run_id, error)
            raise
        runs.forget_unchecked(instance, datetime.now(UTC))
        return _ended(instance, run_id, result, unread, hours)


@contextmanager
def _stopped_between_events(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Ctrl+C and SIGTERM break off what Dagster plans behind one of its events. Anywhere else the exception may be lost
    in a finalizer, and the command went on. In the step signals are Dagster's."""
    stop = threading.Event()

    def look(event: object) -> None:
        if stop.is_set():
            stop.clear()  # What ends the run is an event, too.
            raise KeyboardInterrupt

    instance.add_event_listener(run_id, look)
    with stopped_by_signals(stop):
        yield


def _end(instance: dg.DagsterInstance, run_id: str, error: BaseException | None) -> None:
    """Give a run its end, if Dagster has not: what breaks off before its step leaves it NOT_STARTED."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    if error is None:
        instance.report_run_canceled(run, "interrupted before it began")
    else:
        instance.report_run_failed(run, f"it ended before it began: {error}")


def _ended(
    instance: dg.DagsterInstance,
    run_id: str,
    result: dg.ExecuteInProcessResult | None,
    unread: list[str],
    hours: list[Hour],
) -> Backfilled:
    published = _published(instance, run_id)
    done = [hour for hour in hours if hour in published]
    left = [hour for hour in hours if hour not in published]
    run = instance.get_run_by_id(run_id)
    if run and run.is_success:
        return Backfilled(unread, run_id, done, {}, left, [], None)
    interrupted = run is None or run.status is dg.DagsterRunStatus.CANCELED
    failed: dict[Hour, str] = {}
    broken = "interrupted" if interrupted else None
    for event in [] if interrupted or not result else result.filter_events(lambda event: event.is_step_failure):
        some = _failed_hours(event.step_failure_data)
        failed |= some or {}
        broken = broken or (_why(event.step_failure_data) if some is None else None)
    if not failed and not broken:
        broken = "the run failed: see it in Dagster's UI"
    checked: Counter[str | None] = Counter()
    for record in _records(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        evaluation = record.event_log_entry.asset_check_evaluation
        checked[evaluation.partition if evaluation else None] += 1
    unchecked = [hour for hour in done if checked[hour] < _CHECKS]
    return Backfilled(unread, run_id, done, failed, [hour for hour in left if hour not in failed], unchecked, broken)


def _has_history(ports: Ports) -> bool:
    source = ports.source()
    source.close()
    return source.has_history


def _read_windows(ports: Ports, console: Console) -> list[str]:
    """Transform what was captured and waits; a sentence for each kind of window that could not be."""
    lake = ports.lake()
    windows = pending(lake)
    if not windows:
        return []
    if not ports.settings.has_key:
        return [f"{len(windows)} captured windows wait to be read: f_key is not set"]
    with ports.pool() as pool, Progress(*_COLUMNS, console=console) as progress:
        task = progress.add_task("windows", total=len(windows))
        done = transform_all(
            lake, ports.keyring(), windows, pool=pool, progress=lambda some: progress.update(task, advance=some)
        )
    return done.problems()


def _failed_hours(data: StepFailureData) -> dict[Hour, str] | None:
    """The hours that the step names; None when it ended otherwise."""
    user_data = data.user_failure_data
    found = user_data.metadata.get(FAILED_HOURS) if user_data else None
    if found is None or not isinstance(found.value, dict):
        return None
    return {Hour(hour): why for hour, why in found.value.items()}


def _why(data: StepFailureData) -> str:
    lines = str(data.error.cause or data.error).strip().splitlines() if data.error else []
    return lines[0] if lines else "the run broke off"


def _published(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    found = _records(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
    return {record.partition_key for record in found if record.asset_key == LOGS_TABLE and record.partition_key}


def _records(instance: dg.DagsterInstance, run_id: str, of_type: dg.DagsterEventType) -> list[dg.EventLogRecord]:
    return list(instance.get_records_for_run(run_id, of_type=of_type).records)


@contextmanager
def _progress(instance: dg.DagsterInstance, run_id: str, hours: int, fetch: bool, console: Console) -> Iterator[None]:
    """A bar for what is planned, one an asset and one for its checks, moved by what the run has recorded so far."""
    with Progress(*_COLUMNS, console=console) as progress:
        wanted = [RAW_LOGS, COMPACT_LOGS, LOGS_TABLE] if fetch else [COMPACT_LOGS, LOGS_TABLE]
        # Dagster first records what it intends to do, an event an hour and asset: of a year, for minutes.
        planned = progress.add_task("planned", total=hours * len(wanted))
        tasks = {asset: progress.add_task(asset.to_user_string(), total=hours) for asset in wanted}
        checked = progress.add_task("checks", total=hours * _CHECKS)
        stop = threading.Event()
        seen: Counter[dg.AssetKey | None] = Counter()
        cursors: dict[dg.DagsterEventType, str | None] = {}

        def new(of_type: dg.DagsterEventType) -> list[dg.EventLogRecord]:
            found = instance.get_records_for_run(run_id, cursor=cursors.get(of_type), of_type=of_type)
            cursors[of_type] = found.cursor
            return list(found.records)

        def refresh() -> None:
            progress.update(planned, advance=len(new(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)))
            seen.update(record.asset_key for record in new(dg.DagsterEventType.ASSET_MATERIALIZATION))
            for asset, task in tasks.items():
                progress.update(task, completed=min(seen[asset], hours))
            progress.update(checked, advance=len(new(dg.DagsterEventType.ASSET_CHECK_EVALUATION)))

        def watch() -> None:
            while not stop.wait(_REFRESH_SECONDS):
                refresh()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
            refresh()
