"""Secrets through a whole cycle: in no file but `.env`, and no output, event, log, answer or process list."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from log_assets.defs.keys import SENSOR
from log_assets.hour import Hour
from log_assets.records.token import Keyring
from log_assets_tests.ui import LAUNCH, REPOSITORY, Ui, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

USER, PASSWORD, TOKEN, AWS_SECRET = "reader", "p4ss/c4n4ry+word", "t0k3n-c4n4ry=", "aws/c4n4ry+secret"
QUOTED = quote(PASSWORD, safe="")

EVERYTHING = """{
  instance { info daemonHealth { allDaemonStatuses { daemonType lastHeartbeatErrors { message stack } } } }
  workspaceOrError { ... on Workspace { locationEntries { loadStatus displayMetadata { key value }
    locationOrLoadError {
      ... on PythonError { message stack }
      ... on RepositoryLocation { repositories {
        allTopLevelResourceDetails { name description configFields { name } configuredValues { key value } }
        sensors { name description sensorState { status } }
        assetNodes { assetKey { path } description metadataEntries { label description } } } } } } } }
  runsOrError { ... on Runs { results { runId status runConfigYaml tags { key value } stats { __typename }
    eventConnection { events { __typename ... on MessageEvent { message }
      ... on ExecutionStepFailureEvent { error { message stack causes { message stack } } }
      ... on LogsCapturedEvent { fileKey logKey externalStdoutUrl }
      ... on RunFailureEvent { error { message stack } } } } } } }
  assetsOrError { ... on AssetConnection { nodes { assetMaterializations { metadataEntries {
    label description ... on TextMetadataEntry { text } ... on PathMetadataEntry { path }
    ... on MarkdownMetadataEntry { mdStr } ... on JsonMetadataEntry { jsonString } } } } } }
}"""

TICKS = """query($it: SensorSelector!) { sensorOrError(sensorSelector: $it) { ... on Sensor { sensorState {
    ticks(limit: 20) { status skipReason cursor error { message stack } logEvents { events { message } } } } } } }"""
LAUNCH_CONFIGURED = """mutation($it: ExecutionParams!) { launchRun(executionParams: $it) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message stack }
    ... on RunConfigValidationInvalid { errors { message } } } }"""


def spellings(secret: str) -> set[bytes]:
    """A secret as it is, and as URLs, headers, JSON and dumps would have it."""
    plain = secret.encode()
    raw = {plain, quote(secret).encode(), quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()}
    return raw | {
        plain.hex().encode(),
        base64.b64encode(plain).rstrip(b"="),
        base64.urlsafe_b64encode(plain).rstrip(b"="),
    }


class Watch:
    """Everything that was seen, and whether a secret was in it."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self.forms = {name: spellings(secret) for name, secret in secrets.items()}
        self.looked = 0

    def look(self, where: str, content: bytes) -> None:
        self.looked += len(content)
        for name, forms in self.forms.items():
            for form in forms:
                assert form not in content, (
                    f"{name} is in {where}: …{content[max(0, content.index(form) - 200) :][:400]!r}"
                )


class Cycle:
    """A folder with a source over HTTP that wants a password and a token, and commands typed in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key = folder, Keyring.generate()
        self.source_port, self.port = free_port(), free_port()
        url = f"http://{USER}:{QUOTED}@127.0.0.1:{self.source_port}/logs?token={quote(TOKEN, safe='')}"
        self.watch = Watch(
            {"the key": self.key, "the password": PASSWORD, "the token": TOKEN, "the secret of AWS": AWS_SECRET}
            | {"the credentials": f"{USER}:{PASSWORD}", "half of the key": self.key[22:43]}
        )
        self.environment = os.environ | {
            "SOURCE_URL": url,
            "LOG_ASSETS_HOME": str(folder / "home"),
            "START_HOUR": Hour.of(datetime.now(UTC)).plus(-1),
            "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
            "AWS_ACCESS_KEY_ID": "AKIANOTHING",
            "AWS_EC2_METADATA_DISABLED": "true",
            "f_key": self.key,
        }

    def typed(self, *arguments: str, **other: str) -> int:
        command = [sys.executable, "-m", "log_assets", *arguments]
        environment = self.environment | other
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, check=False, timeout=200)
        self.watch.look(f"the output of {arguments} with {list(other)}", done.stdout + done.stderr)
        return done.returncode

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "log_assets", *arguments]
            return subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=log, stderr=log)

    def files(self) -> None:
        for file in self.folder.rglob("*"):
            if file.is_file() and file != self.folder / ".env":
                content = file.read_bytes()
                self.watch.look(str(file), content)
                if content.startswith(b"\x1f\x8b"):
                    self.watch.look(f"{file}, unpacked", gzip.decompress(content))


ERRORS = [
    {"SOURCE_URL": f"http://{USER}:{QUOTED}@127.0.0.1:9/logs?token={TOKEN}"},
    {"SOURCE_URL": f"http://{USER}:{PASSWORD}@127.0.0.1:9/logs?token={TOKEN}"},
    {"SOURCE_URL": f"http://127.0.0.1:9/{{start}}/{{end}}#{TOKEN}"},
    {"SOURCE_URL": TOKEN},
    {"LAKE_URL": f"s3://{USER}:{PASSWORD}@bucket/x"},
    {
        "LAKE_URL": "s3://nowhere/x",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_REGION": "x",
    },
    {"CATALOG_URL": f"glue://{USER}:{TOKEN}@x"},
    {"QUERY_URL": f"trino://{USER}:{QUOTED}@127.0.0.1:9/x"},
    {"f_key": "broken"},
    {"f_key": ""},
    {"ALL_PROXY": f"socks5://{USER}:{TOKEN}@127.0.0.1:9"},
    {"HTTP_PROXY": f"http://{USER}:{TOKEN}@127.0.0.1:9", "NO_PROXY": ""},
    {"START_HOUR": TOKEN},
]


def test_no_secret_is_found_anywhere_but_in_dotenv(tmp_path: Path) -> None:
    cycle = Cycle(tmp_path)
    source = cycle.start("source", "demo-source", "--port", str(cycle.source_port))
    try:
        _through_all_of_it(cycle)
    finally:
        source.kill()
        source.wait()
    cycle.files()
    assert cycle.watch.looked > 1_000_000
    # It would be seen: what was used is where it may be.
    assert cycle.watch.forms["the password"] & {
        form for form in cycle.watch.forms["the password"] if form in (tmp_path / ".env").read_bytes()
    }


def _through_all_of_it(cycle: Cycle) -> None:
    hour = Hour.of(datetime.now(UTC))
    assert cycle.typed("init") == 0
    end = time.monotonic() + 30
    while cycle.typed("poll", "--once") != 0:
        assert time.monotonic() < end
        time.sleep(0.5)
    for command in (["doctor"], ["status"], ["query", "SELECT * FROM logs LIMIT 3"], ["tidy"], ["requeue"]):
        assert cycle.typed(*command) == 0, command
    # It has no history, which is an error and no more.
    cycle.typed("backfill", "--from", hour, "--to", hour)
    assert cycle.typed("restore", "--hour", hour) == 0
    for error in ERRORS:
        for arguments in (["doctor"], ["poll", "--once"], ["status"], ["--debug", "query", "SELECT 1 AS a"], ["init"]):
            cycle.typed(*arguments, **error)
    up = cycle.start("up", "up", "--port", str(cycle.port))
    try:
        _in_the_browser(cycle, Ui(cycle.port, psutil.Process(up.pid), cycle.folder))
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)


def _in_the_browser(cycle: Cycle, ui: Ui) -> None:
    _until(lambda: ui.ask(EVERYTHING)["workspaceOrError"]["locationEntries"][0]["loadStatus"] == "LOADED")
    answers: list[Any] = [ui.ask(LAUNCH)]
    # Run configuration names a variable of the environment: what printed the key once.
    asked: dict[str, Any] = {"mode": "default", "selector": REPOSITORY | {"jobName": "publish_hours"}}
    configs: list[Any] = [{"env": "f_key"}, {"settings": {"f_key": {"env": "f_key"}}}, {"config": {}}]
    for ports in configs:
        asked["runConfigData"] = {"resources": {"ports": ports}}
        answers += [ui.ask(LAUNCH_CONFIGURED, it=asked)]
    for query, path in (({"query": LAUNCH}, "/graphql"), ({}, "/report_asset_materialization/raw_logs"), ({}, "/")):
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {}):
            found = httpx.get(f"{ui.url}{path}", params=query, headers=headers)
            answers.append([found.text, dict(found.headers)])
            answers.append(httpx.post(f"{ui.url}{path}", data=query, headers=headers).text)
    _until(lambda: ticks(ui) and all(run["status"] in ("SUCCESS", "FAILURE") for run in runs(ui)), lambda: runs(ui))
    answers.append(ticks(ui))
    everything = ui.ask(EVERYTHING)
    assert everything["runsOrError"]["results"]
    answers.append(everything)
    for run in everything["runsOrError"]["results"]:
        for event in run["eventConnection"]["events"]:
            if key := event.get("logKey"):
                answers.append(ui.ask("query($it: [String!]!) { capturedLogs(logKey: $it) { stdout stderr } }", it=key))
    cycle.watch.look("what GraphQL answers", json.dumps(answers, ensure_ascii=False).encode())
    for process in [ui.process, *ui.process.children(recursive=True)]:
        # One may have ended meanwhile.
        with contextlib.suppress(psutil.Error):
            cycle.watch.look("the process list", " ".join(process.cmdline()).encode())


def runs(ui: Ui) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ui.ask("{ runsOrError { ... on Runs { results { status } } } }")["runsOrError"][
        "results"
    ]
    return found


def ticks(ui: Ui) -> list[Any]:
    found: list[Any] = ui.ask(TICKS, it=REPOSITORY | {"sensorName": SENSOR})["sensorOrError"]["sensorState"]["ticks"]
    return found


def _until(done: Callable[[], Any], told: Callable[[], Any] = lambda: "", seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if done():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, told()
        time.sleep(1)
