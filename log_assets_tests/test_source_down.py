"""A source that is killed and comes back, under a real `log-assets up`: what status, doctor and the UI's data say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from log_assets.hour import Hour
from log_assets.records.token import Keyring
from log_assets_tests.ui import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CHECK = """{
  assetCheckExecutions(assetKey: {path: ["raw_logs"]}, checkName: "capture_is_alive", limit: 1) {
    status
    evaluation { description }
  }
}"""


class Place:
    """A folder with a source over HTTP that can be killed, and the command line over it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source_port, self.port = folder, free_port(), free_port()
        self.environment = os.environ | {
            "SOURCE_URL": f"http://127.0.0.1:{self.source_port}/logs",
            "LOG_ASSETS_HOME": str(folder / "home"),
            "START_HOUR": Hour.of(datetime.now(UTC)).plus(-1),
            "f_key": Keyring.generate(),
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            command = [sys.executable, "-m", "log_assets", *arguments]
            return subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=log, stderr=log)

    def says(self, *arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "log_assets", *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=100
        )
        return done.returncode, done.stdout + done.stderr

    def check(self) -> dict[str, Any]:
        """The latest evaluation, as the UI asks for it."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": CHECK}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            answer = json.load(urllib.request.urlopen(request, timeout=20))
        except OSError:
            return {"status": "NO ANSWER"}
        found = answer["data"]["assetCheckExecutions"]
        return found[0] if found else {"status": "NONE"}

    def wait(self, done: Callable[[], Any], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"{what}: {self.check()}, {self.says('status')}, {self.says('doctor')}"
            time.sleep(1)


@contextmanager
def running(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGINT) -> Iterator[None]:
    try:
        yield
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(number)
        process.wait(60)
        for member in psutil.wait_procs(family, 10)[1]:
            member.kill()


def test_a_source_that_is_down_is_seen_within_two_minutes_and_is_well_again_when_it_is_back(tmp_path: Path) -> None:
    place = Place(tmp_path)
    source = place.start("demo-source", "--port", str(place.source_port))
    assert place.says("init")[0] == 0
    with running(place.start("up", "--port", str(place.port))):
        place.wait(lambda: place.check()["status"] == "SUCCEEDED", 150, "it is well at first")
        code, said = place.says("doctor")
        assert (code, "the daemon is alive, the sensor ticked" in said) == (0, True), said

        source.kill()
        source.wait()
        place.wait(lambda: place.check()["status"] == "FAILED", 130, "the UI says that the source is down")
        assert "the source has not answered since" in place.check()["evaluation"]["description"]
        assert "capture: the source has not answered since" in place.says("status")[1]
        code, said = place.says("doctor")
        assert code == 1
        assert "the source has not answered since" in said

        with running(place.start("demo-source", "--port", str(place.source_port))):
            place.wait(lambda: place.check()["status"] == "SUCCEEDED", 130, "it is well again")
            assert "capture: last good poll" in place.says("status")[1]
            assert place.says("doctor")[0] == 0
