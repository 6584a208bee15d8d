"""`log-assets backfill` while it runs: its bars on a terminal, what is done when, and what an interruption leaves."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from rich.console import Console

from log_assets.catalog import Catalog, Move, Moved
from log_assets.commands.backfill import Backfilled, backfill
from log_assets.commands.cli import main
from log_assets.defs import checks
from log_assets.defs.keys import HOURS_JOB, LOGS_TABLE, RAW_LOGS
from log_assets.defs.private import RANGE_END_TAG, RANGE_START_TAG
from log_assets.defs.runs import hours_in_flight
from log_assets.errors import CatalogError
from log_assets.hour import Hour, hours_between
from log_assets.ports import Ports
from log_assets.query import QueryEngine
from log_assets.records.token import Keyring
from log_assets.settings import Settings
from log_assets_tests.history_server import history
from log_assets_tests.kit import H0, record
from log_assets_tests.world import World

HOURS = list(hours_between(H0, H0.plus(5)))


class Place:
    """A folder over a slow source with history, and the command as a process in it."""

    def __init__(self, folder: Path, source: str, key: str) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "SOURCE_URL": source,
            "f_key": key,
            "START_HOUR": H0,
            "LOG_ASSETS_HOME": str(folder / "home"),
            "TERM": "xterm-256color",
        }
        # What a CI sets, rich takes for a terminal's size.
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            self.environment.pop(name, None)
        subprocess.run(self.command("init"), env=self.environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "log_assets", *arguments]

    def start(self, hours: list[Hour], terminal: int | None = None) -> subprocess.Popen[bytes]:
        errors = subprocess.PIPE if terminal is None else terminal
        return subprocess.Popen(
            self.command("backfill", "--from", hours[0], "--to", hours[-1]),
            env=self.environment,
            cwd=self.folder,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=errors,
        )

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.folder / "home/dagster"))


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Place]:
    key = Keyring.generate()
    with history(Keyring.parse(key), seconds=0.7) as source:
        yield Place(tmp_path, source, key)


def shown_on_a_terminal(place: Place, columns: int) -> str:
    """All that the command writes to a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with place.start(HOURS, its) as command:
        os.close(its)
        shown = b""
        while True:
            try:
                some = os.read(ours, 65536)
            except OSError:  # The last writer is gone.
                break
            if not some:
                break
            shown += some
    os.close(ours)
    assert command.returncode == 0, shown
    return shown.decode()


def test_the_bars_move_hour_by_hour_on_a_terminal_of_80_columns(slow: Place) -> None:
    shown = shown_on_a_terminal(slow, 80)
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in re.split(r"[\r\n]+", shown)]
    assert max(map(len, lines)) <= 80

    def seen(bar: str) -> set[tuple[int, int]]:
        found = [re.match(rf"{bar} .* (\d+)/(\d+) ", line) for line in lines]
        return {(int(one[1]), int(one[2])) for one in found if one}

    # The bar is drawn several times a second, and an hour takes most of one.
    assert seen("raw_logs") == {(done, 6) for done in range(7)}
    for bar, total in (("planned", 18), ("compact_logs", 6), ("logs_table", 6), ("checks", 24)):
        assert {(0, total), (total, total)} <= seen(bar), bar


def test_a_pipe_gets_no_control_codes(slow: Place) -> None:
    with slow.start(HOURS[:2]) as command:
        _, errors = command.communicate()
    assert command.returncode == 0
    assert b"\x1b" not in errors
    assert b"\r" not in errors
    # Nothing while it runs, and once how it ended.
    assert len(errors.splitlines()) <= 6


def backfilled(hours: list[Hour]) -> Backfilled:
    return backfill(Ports(Settings.load()), hours[0], hours[-1], console=Console(file=io.StringIO()))


def run_of(world: World, done: Backfilled) -> dg.DagsterRun:
    run = world.instance.get_run_by_id(done.run_id)
    assert run is not None
    return run


def checked(world: World, run_id: str) -> dict[str, list[str | None]]:
    """The hours of a run that each check was evaluated for."""
    found: dict[str, list[str | None]] = {key.name: [] for key in checks.KEYS}
    for one in world.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records:
        evaluation = one.event_log_entry.asset_check_evaluation
        assert evaluation is not None
        found[evaluation.check_name].append(evaluation.partition)
    return found


def shown(world: World) -> dict[dg.AssetCheckKey, str | None]:
    """The hour of the evaluation that the UI shows of each check; None for a check that did not run."""
    found = world.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks.KEYS))
    return {key: one.partition if one.status.value != "PLANNED" else None for key, one in found.items()}


class Interrupted(Ports):
    """Ctrl+C, as often as `times`, when the checks ask for the query engine."""

    times = 1

    def query(self) -> QueryEngine:
        if Interrupted.times:
            Interrupted.times -= 1
            os.kill(os.getpid(), signal.SIGINT)
        return super().query()


@pytest.fixture
def interrupted(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("log_assets.definitions.Ports", Interrupted)
    monkeypatch.setattr("log_assets.defs.hours_run._HOURS_AT_ONCE", 3)
    monkeypatch.setattr(Interrupted, "times", 1)
    world.kit.land([record(number * 3600) for number in range(len(HOURS))])
    return world


def test_a_backfill_that_is_interrupted_tells_what_is_left_and_leaves_no_done_hour_unchecked(
    interrupted: World,
) -> None:
    done = backfilled(HOURS)
    assert (done.done, done.left, done.failed, done.unchecked) == (HOURS[:3], HOURS[3:], {}, [])
    assert done.broken == "interrupted"
    # A person's word, which the sensor respects.
    assert run_of(interrupted, done).status is dg.DagsterRunStatus.CANCELED
    assert checked(interrupted, done.run_id) == {key.name: HOURS[:3] for key in checks.KEYS}


def test_checks_are_shown_by_their_last_result_and_not_as_what_an_interrupted_run_did_not_come_to(
    interrupted: World,
) -> None:
    backfilled(HOURS)
    assert shown(interrupted) == dict.fromkeys(checks.KEYS, HOURS[2])


def test_a_tick_leaves_no_checks_that_a_run_cancelled_in_the_ui_did_not_come_to(world: World) -> None:
    world.kit.land([record(0), record(3600)])
    world.run(HOURS_JOB, HOURS[:2])
    tags = {RANGE_START_TAG: HOURS[0], RANGE_END_TAG: HOURS[-1]}
    run = world.instance.create_run_for_job(world.definitions().resolve_job_def(HOURS_JOB), tags=tags)
    assert shown(world) == dict.fromkeys(checks.KEYS, None)
    world.instance.report_run_canceled(run)
    world.tick()
    assert shown(world) == dict.fromkeys(checks.KEYS, HOURS[1])


class InterruptedCatalog:
    """Passes everything on; Ctrl+C comes when partitions have just moved."""

    def __init__(self, inner: Catalog) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def move(self, moves: Sequence[Move]) -> Mapping[Hour, Moved | CatalogError]:
        moved = self._inner.move(moves)
        if Interrupted.times:
            Interrupted.times -= 1
            os.kill(os.getpid(), signal.SIGINT)
        return moved


def test_an_hour_that_is_published_when_an_interruption_comes_is_told_and_checked(
    interrupted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Ports.catalog
    monkeypatch.setattr(Interrupted, "catalog", lambda self: InterruptedCatalog(catalog(self)))
    done = backfilled(HOURS)
    assert set(interrupted.kit.catalog.get(HOURS)) == set(HOURS[:3])
    assert (done.done, done.left, done.unchecked, done.broken) == (HOURS[:3], HOURS[3:], [], "interrupted")


def test_what_a_second_interruption_leaves_unchecked_is_told(
    interrupted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first comes while the checks of the first two hours are under way, and the second while these are told again.
    monkeypatch.setattr(Interrupted, "times", 2)
    done = backfilled(HOURS)
    assert (done.done, done.left, done.unchecked, done.broken) == (HOURS[:3], HOURS[3:], HOURS[:3], "interrupted")


def test_the_command_says_that_it_was_interrupted_and_fails(interrupted: World) -> None:
    result = CliRunner().invoke(main, ["backfill", "--from", HOURS[0], "--to", HOURS[-1]])
    assert result.exit_code == 1
    assert "3 hours done" in result.stdout
    assert f"interrupted; 3 hours are left, from {HOURS[3]} on" in result.stderr
    assert "not checked" not in result.stderr


def test_hours_are_published_and_checked_while_others_are_still_to_be_fetched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("log_assets.defs.hours_run._HOURS_AT_ONCE", 2)
    with history(world.kit.keyring) as source:
        monkeypatch.setenv("SOURCE_URL", source)
        done = backfilled(HOURS)
    order: list[tuple[str, str | None]] = []
    for entry in world.instance.all_logs(done.run_id):
        event = entry.dagster_event
        if event and event.is_step_materialization and event.asset_key:
            order.append((event.asset_key.to_user_string(), event.partition))
        elif event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            order.append((event.asset_check_evaluation_data.check_name, event.asset_check_evaluation_data.partition))
    table, last = LOGS_TABLE.to_user_string(), (RAW_LOGS.to_user_string(), HOURS[5])
    assert [hour for hour in HOURS if order.index((table, hour)) < order.index(last)] == HOURS[:4]
    # The last hour of those waits: what it lacks may stand in the next.
    assert [hour for hour in HOURS if order.index(("hour_is_sound", hour)) < order.index(last)] == HOURS[:3]
    assert checked(world, done.run_id) == {key.name: HOURS for key in checks.KEYS}


def test_a_slow_source_is_published_before_a_hundred_hours_came(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("log_assets.defs.hours_run._FETCH_SECONDS", 0.0)
    with history(world.kit.keyring) as source:
        monkeypatch.setenv("SOURCE_URL", source)
        done = backfilled(HOURS[:2])
    found = world.instance.get_records_for_run(done.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    assert [one.partition_key for one in found] == [HOURS[0]] * 3 + [HOURS[1]] * 3


def test_an_id_that_stands_in_the_next_hundred_hours_is_not_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("log_assets.defs.hours_run._HOURS_AT_ONCE", 1)
    hour = HOURS[0].start
    world.kit.land(
        [
            record(1, hour),
            record(2, hour + timedelta(minutes=59)),
            record(3, hour + timedelta(minutes=61)),
            record(4, hour + timedelta(minutes=59)),
        ]
    )
    backfilled(HOURS[:2])
    said = world.checks("no_record_id_is_missing")
    assert {hour: said[hour].passed for hour in HOURS[:2]} == dict.fromkeys(HOURS[:2], True)


def while_it_plans(place: Place, number: int) -> tuple[int, str, dg.DagsterRun]:
    """A backfill that got a signal before its step: its code, what it said, and its run."""
    with place.start(list(hours_between(H0, H0.plus(399)))) as command, place.instance() as instance:
        end = time.monotonic() + 60
        while not (runs_there := instance.get_runs()):
            assert time.monotonic() < end
            time.sleep(0.02)
        command.send_signal(number)
        _, errors = command.communicate()
        assert runs_there[0].status is dg.DagsterRunStatus.NOT_STARTED
        hours_in_flight(instance)
        run = instance.get_run_by_id(runs_there[0].run_id)
        assert run is not None
        return command.returncode, errors.decode(), run


def test_a_backfill_that_is_interrupted_before_its_step_leaves_no_open_run(slow: Place) -> None:
    code, said, run = while_it_plans(slow, signal.SIGINT)
    assert (code, run.status) == (1, dg.DagsterRunStatus.CANCELED)
    assert f"interrupted; 400 hours are left, from {H0} on" in said


def test_a_backfill_that_is_killed_before_its_step_holds_no_hour(slow: Place) -> None:
    code, _, run = while_it_plans(slow, signal.SIGKILL)
    assert (code, run.status) == (-signal.SIGKILL, dg.DagsterRunStatus.FAILURE)
