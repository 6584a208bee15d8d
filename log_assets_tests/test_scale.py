"""A month of hours in one backfill, by the command line and by the call that the UI's asset page makes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from log_assets.defs.keys import COMPACT_LOGS, LOGS_TABLE
from log_assets.defs.private import DAEMON_MODULE
from log_assets.hour import Hour, hours_between
from log_assets.records.token import Keyring
from log_assets_tests.kit import H0, Kit, record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HOURS = list(hours_between(H0, H0.plus(719)))
BAD = HOURS[400]
CHECKS = {"no_record_id_is_missing": COMPACT_LOGS, "hour_is_sound": LOGS_TABLE}


@pytest.fixture
def month(tmp_path: Path) -> tuple[Kit, dict[str, str]]:
    """720 hours of rows, one of them damaged, and the environment of the pipeline that holds them."""
    key = Keyring.generate()
    kit = Kit(tmp_path / "home", Keyring.parse(key))
    kit.clock = HOURS[-1].end
    for start in range(0, len(HOURS), 90):
        kit.land([record(number * 3600 + i) for number in range(start, start + 90) for i in range(3)])
    (bad,) = kit.rows_keys(BAD)
    (kit.folder / "lake" / bad).write_bytes(b"damaged")
    (tmp_path / "source").mkdir()
    environment = os.environ | {
        "SOURCE_URL": (tmp_path / "source").as_uri(),
        "LOG_ASSETS_HOME": str(tmp_path / "home"),
        "START_HOUR": H0,
        "f_key": key,
        "DAGSTER_HOME": str(tmp_path / "home/dagster"),
    }
    subprocess.run([sys.executable, "-m", "log_assets", "init"], env=environment, cwd=tmp_path, check=True)
    return kit, environment


def check_everything(kit: Kit, environment: dict[str, str]) -> None:
    """719 partitions with their metadata and check results, and the one that failed by name."""
    good = {hour for hour in HOURS if hour != BAD}
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        for asset in (COMPACT_LOGS, LOGS_TABLE):
            assert instance.get_materialized_partitions(asset) == good
            for hour in (HOURS[0], HOURS[399], HOURS[719]):
                wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[hour])
                (found,) = instance.fetch_materializations(wanted, limit=1).records
                assert found.asset_materialization is not None
                assert found.asset_materialization.metadata["dagster/row_count"].value == 3
        for name, asset in CHECKS.items():
            history = instance.event_log_storage.get_asset_check_execution_history(
                dg.AssetCheckKey(asset, name), limit=2000
            )
            succeeded = {record.partition for record in history if record.status.value in ("SUCCEEDED", "FAILED")}
            assert succeeded == good, name
    partitions = kit.catalog.get(HOURS)
    assert set(partitions) == good
    assert all(partition.summary.records == 3 for partition in partitions.values())


def test_a_backfill_of_720_hours_by_the_command_line(month: tuple[Kit, dict[str, str]], tmp_path: Path) -> None:
    kit, environment = month
    command = [sys.executable, "-m", "log_assets", "backfill", "--from", HOURS[0], "--to", HOURS[-1]]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "719 hours done" in done.stdout
    assert f"{BAD} failed: " in done.stderr
    check_everything(kit, environment)


LAUNCH = """
mutation ($backfill: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfill) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
STATUS = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}
"""


def test_a_backfill_of_720_hours_by_the_call_of_the_asset_page(
    month: tuple[Kit, dict[str, str]], tmp_path: Path
) -> None:
    kit, environment = month
    module = ["-m", "log_assets.definitions"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        with (tmp_path / "server.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)

    servers = [start([sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), *module])]
    try:
        end = time.monotonic() + 600

        def execute(query: str, **variables: object) -> dict[str, Any]:
            answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": query, "variables": variables})
            found: dict[str, Any] = answer.json()["data"]
            return found

        while True:
            try:
                selection = [{"path": ["compact_logs"]}, {"path": ["logs_table"]}]
                launched = execute(LAUNCH, backfill={"assetSelection": selection, "partitionNames": HOURS})
                break
            except httpx.HTTPError:
                assert time.monotonic() < end
                time.sleep(0.5)
        servers.append(start([sys.executable, "-m", DAEMON_MODULE, "run", *module]))
        backfill = launched["launchPartitionBackfill"]["backfillId"]
        while True:
            status = execute(STATUS, id=backfill)["partitionBackfillOrError"]["status"]
            if status in ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "COMPLETED"):
                break
            assert time.monotonic() < end, json.dumps(status)
            time.sleep(2)
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(30)
    check_everything(kit, environment)
    assert Hour(BAD) not in kit.catalog.get([BAD])
