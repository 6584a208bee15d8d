"""Dagster's UI as it is served: started as one types it, asked over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from log_assets.defs.keys import SENSOR, TIDY_JOB

REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "log_assets.definitions"}
LOCATION = "workspaceOrError { ... on Workspace { locationEntries { loadStatus } } }"
SENSORS = f"""query($it: SensorSelector!) {{ sensorOrError(sensorSelector: $it) {{
    ... on Sensor {{ id sensorState {{ id status }} }} }} {LOCATION} }}"""
STATE = """query($it: SensorSelector!) {
    sensorOrError(sensorSelector: $it) { ... on Sensor { sensorState { status } } }
    runsOrError { ... on Runs { count } }
    assetsOrError { ... on AssetConnection { nodes {
        key { path } assetMaterializations { runId } assetObservations { runId } } } } }"""
LAUNCH = f"""mutation {{ launchRun(executionParams: {{ mode: "default", selector: {{
    repositoryName: "__repository__", repositoryLocationName: "log_assets.definitions", jobName: "{TIDY_JOB}" }} }})
    {{ __typename ... on LaunchRunSuccess {{ run {{ runId }} }} ... on PythonError {{ message }} }} }}"""


@dataclass
class Ui:
    """A running UI, and the process that was started for it."""

    port: int
    process: psutil.Process
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """What GraphQL answers, asked for as the UI itself does."""
        headers = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        asked = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.url}/graphql", json=asked, headers=headers, timeout=60)
        found: dict[str, Any] = answer.json()["data"]
        return found

    def state(self) -> dict[str, Any]:
        """All that a mutation of these tests would change."""
        return self.ask(STATE, it=REPOSITORY | {"sensorName": SENSOR})

    def stop_sensor(self) -> str:
        """The mutation that stops the sensor."""
        sensor = self.ask(SENSORS, it=REPOSITORY | {"sensorName": SENSOR})["sensorOrError"]
        return f'mutation {{ stopSensor(id: "{sensor["sensorState"]["id"]}") {{ __typename }} }}'

    def start_sensor(self) -> None:
        selector = (
            "{" + ", ".join(f'{name}: "{one}"' for name, one in {**REPOSITORY, "sensorName": SENSOR}.items()) + "}"
        )
        self.ask(f"mutation {{ startSensor(sensorSelector: {selector}) {{ __typename }} }}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found: int = listener.getsockname()[1]
        return found


def typed(folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "log_assets", *arguments], env=environment, cwd=folder, check=True)


@contextmanager
def running(folder: Path, environment: Mapping[str, str], *arguments: str) -> Iterator[Ui]:
    """`log-assets web` or `up` with a port, until the block ends; the definitions are loaded when it begins."""
    port = free_port()
    command = [sys.executable, "-m", "log_assets", *arguments, "--port", str(port)]
    started = subprocess.Popen(command, env=environment, cwd=folder)
    ui = Ui(port, psutil.Process(started.pid), folder)
    try:
        end = time.monotonic() + 90
        while True:
            try:
                if "id" in ui.ask(SENSORS, it=REPOSITORY | {"sensorName": SENSOR})["sensorOrError"]:
                    break
            except httpx.TransportError:
                assert started.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)
        yield ui
    finally:
        started.terminate()
        started.wait(30)


def environment_of(folder: Path) -> dict[str, str]:
    """Of commands in `folder` alone, whatever the shell has set."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "LOG_ASSETS_HOME": str(folder / "home")}
