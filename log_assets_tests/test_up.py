"""`log-assets up`: who of its programs is given what."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from log_assets.commands.supervisor import Program
from log_assets.defs.private import DAEMON_MODULE
from log_assets_tests.shell import Shell
from log_assets_tests.ui import LAUNCH, environment_of, free_port, running, typed


@pytest.fixture
def started(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> dict[str, Program]:
    """What `up` would have run, by name; filled once it is typed."""
    found: dict[str, Program] = {}

    def supervise(programs: Sequence[Program], stop: Any) -> None:
        found.update({program.name: program for program in programs})

    monkeypatch.setattr("log_assets.commands.supervisor.supervise", supervise)
    # So that what the commands set is taken back.
    monkeypatch.setenv("DAGSTER_HOME", "")
    shell.use_folder()
    shell.done("init")
    return found


def test_the_web_server_alone_goes_without_the_key(shell: Shell, started: dict[str, Program]) -> None:
    shell.done("up", "--port", str(free_port()))
    assert set(started) == {"capturer", "daemon", "webserver"}
    environment = started["webserver"].environment
    assert environment is not None
    assert "f_key" not in environment
    assert set(os.environ) - set(environment) == {"f_key"}
    assert started["daemon"].environment is None
    assert started["webserver"].command[2:4] == ["log_assets", "web"]
    assert "--read-only" not in started["webserver"].command


def test_read_only_is_the_web_servers(shell: Shell, started: dict[str, Program]) -> None:
    shell.done("up", "--port", str(free_port()), "--read-only")
    assert "--read-only" in started["webserver"].command


@pytest.mark.slow
def test_a_run_that_the_ui_launches_is_the_daemons(tmp_path: Path) -> None:
    environment = environment_of(tmp_path)
    typed(tmp_path, environment, "init")
    assert "f_key=" in (tmp_path / ".env").read_text()
    with running(tmp_path, environment, "up") as ui:
        programs = {" ".join(one.cmdline()[2:4]): one for one in ui.process.children()}
        (daemon,) = [one for name, one in programs.items() if name.startswith(DAEMON_MODULE)]
        web = programs["log_assets web"]
        assert len(web.children(recursive=True)) >= 1
        for process in (web, *web.children(recursive=True)):
            assert "f_key" not in process.environ()
        assert "f_key" in daemon.environ()

        run = ui.ask(LAUNCH)["launchRun"]["run"]["runId"]
        status, end = "", time.monotonic() + 90
        while status != "SUCCESS":
            assert time.monotonic() < end, status
            time.sleep(0.5)
            status = ui.ask(f'{{ runOrError(runId: "{run}") {{ ... on Run {{ status }} }} }}')["runOrError"]["status"]
