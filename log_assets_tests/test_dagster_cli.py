"""What a Dagster user types: `dagster asset materialize` and `dagster dev`, in a folder where `init` has run."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from log_assets_tests.kit import H0, Kit, record

ROOT = Path(__file__).parent.parent
DAGSTER = str(Path(sys.executable).with_name("dagster"))
ASSETS = "{ repositoriesOrError { ... on RepositoryConnection { nodes { assetNodes { assetKey { path } } } } } }"


@pytest.fixture
def project(tmp_path: Path) -> tuple[Kit, dict[str, str]]:
    """A folder with the project's workspace.yaml after `init`, rows of an hour, and the environment of its commands."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "START_HOUR": H0,
        "LOG_ASSETS_HOME": str(tmp_path / "home"),
        "DAGSTER_HOME": str(tmp_path / "home/dagster"),
    }
    shutil.copy(ROOT / "workspace.yaml", tmp_path)
    init = [sys.executable, "-m", "log_assets", "init"]
    subprocess.run(init, check=True, cwd=tmp_path, env=environment, capture_output=True)
    kit = Kit(tmp_path / "home")
    kit.land([record(1), record(2)])
    return kit, environment


def test_dagster_asset_materialize(project: tuple[Kit, dict[str, str]], tmp_path: Path) -> None:
    kit, environment = project
    command = [DAGSTER, "asset", "materialize", "-m", "log_assets.definitions"]
    command += ["--select", "compact_logs,logs_table", "--partition", H0]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert kit.ids() == [1, 2]


@pytest.mark.slow
def test_dagster_dev_with_the_workspace(project: tuple[Kit, dict[str, str]], tmp_path: Path) -> None:
    _, environment = project
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [DAGSTER, "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        assert sorted(assets(port)) == ["compact_logs", "logs_table", "raw_logs"]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def assets(port: int) -> list[str]:
    """The assets that a webserver knows, once it is up."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            answer: Any = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": ASSETS}, timeout=30).json()
            nodes = answer["data"]["repositoriesOrError"]["nodes"]
            if nodes:
                return [node["assetKey"]["path"][0] for node in nodes[0]["assetNodes"]]
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError("the webserver did not come up")
