"""Health: what is down is seen, in the lake, in Dagster and on the command line, and what is well is not called ill."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from log_assets.defs import checks
from log_assets.defs.keys import RAW_LOGS
from log_assets.defs.liveness import CAPTURE_ALIVE
from log_assets.errors import SourceError
from log_assets.hour import Hour
from log_assets.lake import layout
from log_assets.ports import open_lake
from log_assets.source import Body
from log_assets.steps.capture import Capturer, Pace
from log_assets.steps.health import Health, ago, capture_health
from log_assets.steps.pool import serial_pool
from log_assets_tests.kit import BASE, H0, Kit, body, record
from log_assets_tests.shell import Shell
from log_assets_tests.world import World

NOW = BASE + timedelta(minutes=30)
ROLLING = "https://logs.example.com/window"


def log(kit: Kit, name: str = "web-1", hour: Hour | None = None, **told: Any) -> None:
    hour = hour or Hour.of(NOW)
    found = {
        "capturer": name,
        "hour": hour,
        "polls": 30,
        "failures": 0,
        "windows": 30,
        "longest_gap_seconds": 5.0,
        "spooled": [],
        "lost_ids": [],
    }
    times = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in told.items()}
    kit.lake.replace(layout.capture_key(hour, name), json.dumps(found | times).encode())


def before(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def health(kit: Kit, *, wanted: bool = True) -> Health:
    return capture_health(kit.lake, NOW, wanted=wanted)


def test_a_capturer_that_polls_is_well(kit: Kit) -> None:
    log(kit, first_poll=before(600), last_poll=before(40), last_good=before(40), error="")
    found = health(kit)
    assert (found.problem, found.polls, found.failures, found.last_good) == ("", 30, 0, before(40))
    assert found.said(NOW) == "last good poll 40 s ago; 30 polls in this hour, 0 failed"


def test_without_a_log_a_rolling_source_is_not_captured(kit: Kit) -> None:
    assert health(kit).problem.startswith("no capturer has written a log in this hour or the one before")
    assert health(kit, wanted=False) == Health()
    assert "none is needed" in Health().said(NOW)
    # One of two hours ago tells nothing of now.
    log(kit, hour=Hour.of(NOW).plus(-2), last_poll=before(7200), last_good=before(7200))
    assert health(kit).problem.startswith("no capturer has written a log in this hour or the one before")


def test_a_dead_capturer_is_seen(kit: Kit) -> None:
    log(kit, first_poll=before(1200), last_poll=before(240), last_good=before(240))
    assert "the capturer web-1 wrote its last log 4 min ago: it is dead" in health(kit).problem
    # Of a source with history a person may have ended it.
    assert health(kit, wanted=False).problem == ""
    # Another one lives.
    log(kit, "web-2", first_poll=before(100), last_poll=before(30), last_good=before(30))
    assert health(kit).problem == ""


def test_a_source_that_does_not_answer_is_seen_after_a_minute(kit: Kit) -> None:
    down: dict[str, Any] = {"first_poll": before(1200), "error": "https://logs.example.com/window answered 500"}
    log(kit, last_poll=before(5), last_good=before(59), **down)
    assert health(kit).problem == ""
    log(kit, last_poll=before(5), last_good=before(61), **down)
    for wanted in (True, False):
        problem = health(kit, wanted=wanted).problem
        assert problem == (
            "the source has not answered since 01:28:59 UTC, 61 s: https://logs.example.com/window answered 500"
        )


def test_a_source_that_never_answered_is_seen(kit: Kit) -> None:
    log(kit, first_poll=before(90), last_poll=before(5), last_good=None, error="refused")
    assert health(kit).problem == "the source has not answered since 01:28:30 UTC, 90 s: refused"


def test_logs_of_0_1_0_and_hostile_ones_are_no_sign_of_life(kit: Kit) -> None:
    log(kit)
    for number, bad in enumerate([b"{", b"[1]", b'{"capturer": 1}', b"\xff"]):
        kit.lake.replace(layout.capture_key(Hour.of(NOW), f"bad-{number}"), bad)
    log(kit, "naive", last_poll="2023-03-10T01:29:59")
    log(kit, "absurd", last_poll="0001-01-01T00:00:00+23:00")
    assert health(kit).problem.startswith("no capturer has written a log")


@pytest.mark.parametrize(
    ("seconds", "said"), [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 hours")]
)
def test_spans_are_told_in_one_unit(seconds: int, said: str) -> None:
    assert ago(timedelta(seconds=seconds)) == said


class Turning:
    """A source that answers, or fails, as it is told."""

    url, has_history, rolling = ROLLING, False, True

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.error: SourceError | None = None

    def windows(self) -> Iterator[Body]:
        if self.error is not None:
            raise self.error
        yield Body(self.content, self.url)

    def history(self, start: datetime, end: datetime) -> Iterator[Body]:
        raise NotImplementedError

    def close(self) -> None: ...


class Stop(threading.Event):
    """Waits without time passing, but on the kit's clock; notes the waits, and does what comes next at each."""

    def __init__(self, kit: Kit, *then: Any) -> None:
        super().__init__()
        self.kit, self.then, self.waits = kit, list(then), list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.kit.clock += timedelta(seconds=timeout)
        if self.then:
            self.then.pop(0)()
        else:
            self.set()
        return self.is_set()


def capturer(kit: Kit, source: Turning) -> Capturer:
    return Capturer(source, kit.lake, open_lake((kit.folder / "spool").as_uri()), kit.now)


def nothing() -> None: ...


def test_a_dead_source_is_asked_ever_less_but_within_a_window_and_its_log_tells_at_once(kit: Kit) -> None:
    source = Turning(body(kit.keyring, [record(1)]))
    logs: list[dict[str, Any]] = []

    def fail() -> None:
        source.error = SourceError("refused")

    def look() -> None:
        (key,) = kit.keys("capture")
        logs.append(json.loads(kit.lake.get(key)))

    def recover() -> None:
        source.error = None

    stop = Stop(kit, fail, look, *[nothing] * 8, recover, look, nothing)
    capturer(kit, source).run(stop)
    failed, back = stop.waits[1:11], stop.waits[11]
    assert logs[0]["error"] == "refused"
    assert logs[0]["last_good"] < logs[0]["last_poll"]
    assert logs[1]["error"] == ""
    assert max(failed) <= Pace().ceiling
    assert [round(wait / 2**number, 2) <= 2 for number, wait in enumerate(failed)] == [True] * 10
    assert min(failed[5:]) >= 0.75 * Pace().ceiling
    assert len(set(failed[5:])) > 1, "all capturers would ask at the same moments"
    # Back at its pace from before the failure.
    assert back < 8


def test_a_source_that_says_when_is_asked_then(kit: Kit) -> None:
    source = Turning(b"[]")
    source.error = SourceError("answered 429")
    source.error.retry_after = 90.0
    stop = Stop(kit, nothing)
    capturer(kit, source).run(stop)
    assert stop.waits == [90.0, 90.0]


def test_a_source_with_nothing_new_is_asked_less(kit: Kit) -> None:
    stop = Stop(kit, *[nothing] * 8)
    capturer(kit, Turning(body(kit.keyring, [record(1)]))).run(stop)
    assert stop.waits == sorted(stop.waits)
    assert stop.waits[-1] == Pace().ceiling


def evaluations(result: dg.SensorResult) -> list[dg.AssetCheckEvaluation]:
    return [event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]


def now_log(kit: Kit, seconds: float, error: str = "") -> None:
    now = datetime.now(UTC)
    good = now - timedelta(seconds=seconds)
    log(kit, hour=Hour.of(now), first_poll=good, last_poll=now, last_good=good, error=error)


def test_the_sensor_tells_when_capture_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_URL", ROLLING)

    def tick(cursor: str | None) -> tuple[str | None, list[dg.AssetCheckEvaluation], str]:
        _, result = world.tick(cursor)
        for event in evaluations(result):
            # As Dagster does with what a tick gives.
            world.instance.report_runless_asset_event(event)
        return result.cursor, evaluations(result), str(result.skip_reason)

    cursor, told, said = tick(None)
    assert [one.passed for one in told] == [False]
    cursor, told, said = tick(cursor)
    assert told == []
    assert "capture: no capturer has written a log" in said
    now_log(world.kit, 3)
    cursor, told, said = tick(cursor)
    assert [one.passed for one in told] == [True]
    assert "nothing new" in said
    now_log(world.kit, 90, "it answered 500")
    cursor, told, said = tick(cursor)
    assert [one.passed for one in told] == [False]
    assert "it answered 500" in said
    # Shown anew behind every materialization, which would hide it.
    now_log(world.kit, 3)
    world.kit.capture([record(0)])
    cursor, told, _ = tick(cursor)
    assert [one.passed for one in told] == [True]
    shown = world.instance.event_log_storage.get_asset_check_execution_history(CAPTURE_ALIVE, limit=10)
    assert [record.status.value for record in shown] == ["SUCCEEDED", "FAILED", "SUCCEEDED", "FAILED"]


def test_the_check_is_evaluated_by_hand_and_with_an_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for source, passes in ((ROLLING, False), (world.source.as_uri(), True)):
        monkeypatch.setenv("SOURCE_URL", source)
        whole = world.definitions().resolve_implicit_global_asset_job_def()
        # "Execute" on the check's page, and "Materialize" on that of its asset, which takes the asset's checks along.
        alone = whole.get_subset(asset_selection=set(), asset_check_selection={CAPTURE_ALIVE})
        assert alone.execute_in_process(instance=world.instance).success
        assert world.checks(CAPTURE_ALIVE.name)["None"].passed is passes
    with_asset = whole.get_subset(asset_selection={RAW_LOGS})
    assert with_asset.execute_in_process(instance=world.instance, partition_key=H0).success
    assert "no capturer ran in the last hour" in str(world.checks(CAPTURE_ALIVE.name)["None"].description)


def test_assets_of_a_rolling_source_are_shown_red_when_nothing_comes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {spec.freshness_policy for spec in world.definitions().resolve_all_asset_specs()} == {None}
    monkeypatch.setenv("SOURCE_URL", ROLLING)
    policies = {spec.freshness_policy for spec in world.definitions().resolve_all_asset_specs()}
    (policy,) = policies
    assert isinstance(policy, dg.FreshnessPolicy)


def test_status_tells_of_capture_and_of_what_waits(shell: Shell) -> None:
    shell.use_folder()
    shell.done("init")
    assert "capture: no capturer ran in the last hour, and none is needed" in shell.done("status")
    shell.set(SOURCE_URL=ROLLING)
    assert "capture: no capturer has written a log" in shell.done("status")
    assert shell.status()["capture"]["problem"].startswith("no capturer")
    # Before the first start there is nothing to repair.
    assert "no capturer has run yet: log-assets up starts one" in shell.run("doctor").output
    log(Kit(shell.folder / ".log_assets"), last_poll=NOW)
    assert "no capturer has written a log" in shell.run("doctor").output
    kit = Kit(shell.folder / ".log_assets", shell.keyring, clock=datetime.now(UTC) - timedelta(minutes=5))
    kit.capture([record(1)])
    now_log(kit, 3)
    said = shell.done("status")
    assert "capture: last good poll" in said
    assert "waiting to be read: 1 windows, the oldest for 5 min; does log-assets up" in said
    now_log(kit, 100, "it answered 500")
    assert "the source has not answered since" in shell.done("status")


def test_doctor_asks_the_daemon_in_a_process_of_its_own(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shell.use_folder()
    shell.done("init")
    assert "the daemon has never run here" in shell.run("doctor").output
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "dagster.py").write_text("raise ImportError('libfoo is broken')")
    said = shell.run("doctor").output
    assert "Dagster cannot be asked (ImportError: libfoo is broken): check the installation" in said


HOUR = Hour.of(NOW).plus(-1)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([(0, 3595)], "30 polls, 0 failed"),
        ([(110, 3490)], "30 polls, 0 failed"),
        ([(0, 1800), (1900, 3595)], "60 polls, 0 failed"),
        (
            [(0, 120)],
            "no window was fetched from 00:02:00 to 01:00:00 UTC, and what the source showed",
        ),
        ([(600, 3595)], "no window was fetched from 00:00:00 to 00:10:00 UTC"),
        ([(0, 600), (900, 1200), (800, 3595)], "no window was fetched from 00:10:00 to 00:13:20 UTC"),
        ([(0, -600)], "no window was fetched from 00:00:00 to 01:00:00 UTC"),
        ([(600, -600)], "no window was fetched from 00:00:00 to 01:00:00 UTC"),
        ([], "no capturer ran in this hour: what the source showed in it was not fetched"),
    ],
)
def test_an_hour_in_which_capture_was_silent_is_no_pass(kit: Kit, times: list[tuple[int, int]], said: str) -> None:
    for number, (first, last) in enumerate(times):
        moments = [HOUR.start + timedelta(seconds=seconds) for seconds in (first, last)]
        log(kit, f"web-{number}", HOUR, first_poll=moments[0], last_poll=moments[1], last_good=moments[1])
    (found,) = checks.evaluate(
        [checks.NO_HOLE], kit.lake, kit.catalog, lambda: kit.engine, [HOUR], pool=serial_pool(), captured=True
    )
    assert found.description.startswith(said)
    assert found.passed is (found.description[3:] == "polls, 0 failed")
    # A source that keeps its history can be asked for it.
    (found,) = checks.evaluate(
        [checks.NO_HOLE], kit.lake, kit.catalog, lambda: kit.engine, [HOUR], pool=serial_pool(), captured=False
    )
    assert found.passed


def test_a_long_time_between_two_polls_is_no_pass(kit: Kit) -> None:
    log(kit, hour=HOUR, first_poll=HOUR.start, last_poll=HOUR.end, last_good=HOUR.end, longest_gap_seconds=121.0)
    (found,) = checks.evaluate(
        [checks.NO_HOLE], kit.lake, kit.catalog, lambda: kit.engine, [HOUR], pool=serial_pool(), captured=True
    )
    assert (found.passed, found.description) == (False, "no window was fetched for 121 s; 30 polls, 0 failed")
