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

from log_assets.definitions import build_defs
from log_assets.defs import assets, checks
from log_assets.defs.keys import COMPACT_LOGS, FETCH_JOB, HOURS_JOB, LOGS_TABLE, RAW_LOGS
from log_assets.defs.private import RANGE_END_TAG, RANGE_START_TAG, StepFailureData
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
    """How a backfill ended: what could not be read, the run's id, the hours that are done, and why others failed."""

    unread: list[str]
    run_id: str
    done: list[Hour]
    failed: dict[Hour, str]


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
    tags = {RANGE_START_TAG: first, RANGE_END_TAG: last}
    with (
        dg.DagsterInstance.from_config(str(settings.dagster_folder())) as instance,
        _progress(instance, run_id, len(hours), fetch, console),
    ):
        result = job.execute_in_process(
            run_config=_QUIET, instance=instance, run_id=run_id, tags=tags, raise_on_error=False
        )
        done = sorted(Hour(hour) for hour in _published(instance, run_id))
    failed: dict[Hour, str] = {}
    for event in result.filter_events(lambda event: event.is_step_failure):
        failed |= _failed_hours(event.step_failure_data, [hour for hour in hours if hour not in done])
    return Backfilled(unread, run_id, done, failed)


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


def _failed_hours(data: StepFailureData, left: list[Hour]) -> dict[Hour, str]:
    user_data = data.user_failure_data
    found = user_data.metadata.get(assets.FAILED_HOURS) if user_data else None
    if found is not None and isinstance(found.value, dict):
        return {Hour(hour): why for hour, why in found.value.items()}
    message = str(data.error.cause or data.error).strip().splitlines()[0] if data.error else "the run broke off"
    return dict.fromkeys(left, message)


def _published(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    found = _materializations(instance, run_id)
    return {record.partition_key for record in found if record.asset_key == LOGS_TABLE and record.partition_key}


def _materializations(instance: dg.DagsterInstance, run_id: str) -> list[dg.EventLogRecord]:
    of_type = dg.DagsterEventType.ASSET_MATERIALIZATION
    return list(instance.get_records_for_run(run_id, of_type=of_type).records)


@contextmanager
def _progress(instance: dg.DagsterInstance, run_id: str, hours: int, fetch: bool, console: Console) -> Iterator[None]:
    """A bar an asset, moved by what the run has recorded so far."""
    with Progress(*_COLUMNS, console=console) as progress:
        wanted = [RAW_LOGS, COMPACT_LOGS, LOGS_TABLE] if fetch else [COMPACT_LOGS, LOGS_TABLE]
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
