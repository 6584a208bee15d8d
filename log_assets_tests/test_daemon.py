"""Under a real `dagster-daemon`, with everything on disk: judged by the final rows and by what ran."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from log_assets.defs.keys import HOURS_JOB
from log_assets.defs.private import DAEMON_MODULE
from log_assets.defs.runs import hours_of
from log_assets.hour import Hour
from log_assets.records.token import Keyring
from log_assets_tests.kit import H0, Kit, record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

H1, H2, H3 = H0.plus(1), H0.plus(2), H0.plus(3)
TICKS = 8.0
"""Seconds in which the daemon surely ticks twice."""


class Daemon:
    """A daemon process over a folder; it may be stopped, killed and started again."""

    def __init__(self, folder: Path) -> None:
        key = Keyring.generate()
        self.kit = Kit(folder / "home", Keyring.parse(key), datetime.now(UTC))
        self.home = folder / "home"
        self.environment = os.environ | {
            "SOURCE_URL": (folder / "source").as_uri(),
            "LOG_ASSETS_HOME": str(self.home),
            # Three days without data lie before the first record.
            "START_HOUR": H0.plus(-72),
            "f_key": key,
        }
        subprocess.run([sys.executable, "-m", "log_assets", "init"], env=self.environment, cwd=folder, check=True)
        self.environment["DAGSTER_HOME"] = str(self.home / "dagster")
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", DAEMON_MODULE, "run", "-m", "log_assets_tests.daemon_definitions"]
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=log, stderr=log)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is None:
            return
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        if number is signal.SIGKILL:
            for member in family:
                member.kill()
        else:
            self.process.send_signal(number)
        self.process.wait(60)
        _, alive = psutil.wait_procs(family, 15)
        for member in alive:
            member.kill()
        self.process = None

    def runs(self) -> list[tuple[str, list[str]]]:
        """Status and hours of every run for hours, the newest first."""
        with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
            found = instance.get_runs(filters=dg.RunsFilter(job_name=HOURS_JOB))
            return [(run.status.value, list(map(str, hours_of(run.tags)))) for run in found]

    def wait(self, done: Callable[[], Any], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, (self.runs(), (self.folder / "daemon.log").read_text()[-4000:])
            time.sleep(0.3)

    def wait_for(self, hour: Hour, ids: Sequence[int]) -> None:
        self.wait(lambda: hour in self.kit.catalog.get([hour]) and self.kit.ids(hour) == sorted(ids))

    def settle(self) -> None:
        """Until no run is under way, and two more ticks have found nothing."""
        self.wait(lambda: all(status in ("SUCCESS", "FAILURE", "CANCELED") for status, _ in self.runs()))
        time.sleep(TICKS)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.stop()


def test_what_was_there_before_late_records_an_outage_and_silence(daemon: Daemon) -> None:
    kit = daemon.kit
    # A lake that held data before the first start.
    kit.capture([record(number) for number in (1, 2, 3601)])
    daemon.start()
    daemon.wait_for(H0, [1, 2])
    daemon.wait_for(H1, [3601])
    daemon.settle()
    assert [sorted(hours) for _, hours in daemon.runs()] == [[H0, H1]]

    # A late record brings exactly its hour up to date.
    kit.capture([record(3)])
    daemon.wait_for(H0, [1, 2, 3])
    daemon.settle()
    assert [hours for _, hours in daemon.runs()] == [[H0], [H0, H1]]

    # One that lands while that hour's run is executing.
    (daemon.home / "hold").touch()
    kit.capture([record(4)])
    daemon.wait((daemon.home / "compacting").exists)
    kit.capture([record(5)])
    daemon.wait(lambda: len(kit.rows_keys(H0)) == 4)
    time.sleep(TICKS)
    assert [status for status, _ in daemon.runs()].count("STARTED") == 1
    (daemon.home / "hold").unlink()
    daemon.wait_for(H0, [1, 2, 3, 4, 5])
    daemon.settle()

    # Nothing runs when nothing came, and 72 hours without data made no storm.
    before = daemon.runs()
    time.sleep(TICKS)
    assert daemon.runs() == before
    assert len(before) <= 4
    assert {hour for _, hours in before for hour in hours} == {H0, H1}

    # An outage is caught up.
    daemon.stop(signal.SIGKILL)
    kit.capture([record(6), record(7201)])
    daemon.start()
    daemon.wait_for(H0, [1, 2, 3, 4, 5, 6])
    daemon.wait_for(H2, [7201])


def test_a_run_that_fails_is_tried_again_a_bounded_number_of_times_and_blocks_no_other(daemon: Daemon) -> None:
    kit = daemon.kit
    kit.land([record(7201)])
    path = kit.folder / "lake" / kit.rows_keys(H2)[0]
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    daemon.start()
    daemon.wait(lambda: "FAILURE" in [status for status, _ in daemon.runs()])
    kit.capture([record(10801)])
    daemon.wait_for(H3, [10801])
    daemon.settle()
    time.sleep(TICKS)
    failed = [hours for status, hours in daemon.runs() if status == "FAILURE" and H2 in hours]
    assert len(failed) == 2
    assert H2 not in kit.catalog.get([H2])
    # Once the cause is removed, new rows are new work.
    path.write_bytes(whole)
    kit.capture([record(7202)])
    daemon.wait_for(H2, [7201, 7202])


def test_a_run_that_is_killed_is_tried_again(daemon: Daemon) -> None:
    kit = daemon.kit
    (daemon.home / "hold").touch()
    kit.capture([record(1)])
    daemon.start()
    daemon.wait((daemon.home / "compacting").exists)
    with dg.DagsterInstance.from_config(str(daemon.home / "dagster")) as instance:
        (run,) = instance.get_runs(filters=dg.RunsFilter(job_name=HOURS_JOB))
    process = int(run.tags["log_assets/worker"].split(" ")[1])
    for member in [*psutil.Process(process).parents()[:1], psutil.Process(process)]:
        if member.pid != os.getpid() and daemon.process and member.pid != daemon.process.pid:
            member.kill()
    (daemon.home / "hold").unlink()
    daemon.wait_for(H0, [1])
    assert "FAILURE" in [status for status, _ in daemon.runs()]


def test_a_run_that_a_person_cancelled_is_not_asked_for_again(daemon: Daemon) -> None:
    kit = daemon.kit
    (daemon.home / "hold").touch()
    kit.land([record(1), record(3601)])
    daemon.start()
    daemon.wait((daemon.home / "compacting").exists)
    with dg.DagsterInstance.from_config(str(daemon.home / "dagster")) as instance:
        (run,) = instance.get_runs(filters=dg.RunsFilter(job_name=HOURS_JOB))
        # What the UI's button does.
        assert instance.run_coordinator.cancel_run(run.run_id)
        daemon.wait(lambda: daemon.runs() == [("CANCELED", [H0, H1])])
    (daemon.home / "hold").unlink()
    time.sleep(2 * TICKS)
    assert daemon.runs() == [("CANCELED", [H0, H1])]
    kit.capture([record(2)])
    daemon.wait_for(H0, [1, 2])
    daemon.settle()
    assert daemon.runs() == [("SUCCESS", [H0]), ("CANCELED", [H0, H1])]
