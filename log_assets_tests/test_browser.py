"""The UI in a real browser: what a person sees of graph, partition, metadata and check."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from log_assets.records.token import Keyring
from log_assets_tests.kit import H0, Kit, record

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=20000", "--window-size=1500,1000",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        assert not os.environ.get("CI"), "in CI the browser must be there"
        pytest.skip("install Chromium to run this")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`log-assets up` over one published hour with a gap, until Ctrl+C, which leaves nothing behind."""
    folder = tmp_path_factory.mktemp("ui")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    key = Keyring.generate()
    source = folder / "source"
    source.mkdir()
    environment = os.environ | {
        "SOURCE_URL": source.as_uri(),
        "LOG_ASSETS_HOME": str(folder / "home"),
        "START_HOUR": H0,
        "f_key": key,
    }
    kit = Kit(folder / "home", Keyring.parse(key))
    kit.land([record(number) for number in range(100, 200) if number not in (150, 151)])

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "log_assets", *arguments], env=environment, cwd=folder, check=True)

    run("init")
    run("backfill", "--from", H0, "--to", H0)
    process = subprocess.Popen(
        [sys.executable, "-m", "log_assets", "up", "--port", str(port)], env=environment, cwd=folder
    )
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 90
    while True:
        try:
            urllib.request.urlopen(f"{url}/server_info", timeout=5).read()
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.5)
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 3
    try:
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        process.wait(30)
        assert time.monotonic() - start < 10
        assert process.returncode == 0
        # A zombie has ended; who inherited it has not yet asked how.
        assert [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


def page(chromium: str, url: str, folder: Path) -> str:
    """The page's text after it has settled, as a reader of the screen would get it."""
    command = [chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout


def test_the_asset_graph(chromium: str, site: str, tmp_path: Path) -> None:
    shown = page(chromium, f"{site}/locations/log_assets.definitions/asset-groups/web_logs", tmp_path)
    for text in ("raw_logs", "compact_logs", "logs_table", "Asset checks", "partitions"):
        assert text in shown


def test_a_partition_with_its_metadata(chromium: str, site: str, tmp_path: Path) -> None:
    shown = page(chromium, f"{site}/assets/compact_logs?view=partitions&partition={H0}", tmp_path)
    for text in (H0, "Materialized", "gap_ranges", "150-151", "bytes_out", "preview", "logs.json.gz"):
        assert text in shown


def test_a_check_with_its_reason(chromium: str, site: str, tmp_path: Path) -> None:
    shown = page(chromium, f"{site}/assets/compact_logs?view=checks", tmp_path)
    assert "no_record_id_is_missing" in shown
    assert "2 records were lost before records of this hour: ids 150-151" in shown
