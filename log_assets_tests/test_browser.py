"""The UI in a real browser: what a person sees and does there, and that no other page does anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

import psutil
import pytest

from log_assets.defs.keys import TIDY_JOB
from log_assets.hour import Hour
from log_assets.records.token import Keyring
from log_assets_tests.chromium import FLAGS, REBOUND, executable, tab
from log_assets_tests.kit import H0, Kit, record
from log_assets_tests.ui import LAUNCH, Ui, environment_of, free_port, running, typed

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium() -> str:
    found = executable()
    if found is None:
        assert not os.environ.get("CI"), "in CI the browser must be there"
        pytest.skip("install Chromium to run this")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`log-assets up` over one published hour with a gap, until Ctrl+C, which leaves nothing behind."""
    folder = tmp_path_factory.mktemp("ui")
    port = free_port()
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
        yield Ui(port, psutil.Process(process.pid), folder)
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
    command = [
        chromium,
        *FLAGS,
        "--virtual-time-budget=20000",
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
        url,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout


def test_the_asset_graph(chromium: str, site: Ui, tmp_path: Path) -> None:
    shown = page(chromium, f"{site.url}/locations/log_assets.definitions/asset-groups/web_logs", tmp_path)
    for text in ("raw_logs", "compact_logs", "logs_table", "Asset checks", "partitions"):
        assert text in shown


def test_a_partition_with_its_metadata(chromium: str, site: Ui, tmp_path: Path) -> None:
    shown = page(chromium, f"{site.url}/assets/compact_logs?view=partitions&partition={H0}", tmp_path)
    for text in (H0, "Materialized", "gap_ranges", "150-151", "bytes_out", "preview", "logs.json.gz"):
        assert text in shown


def test_a_check_with_its_reason(chromium: str, site: Ui, tmp_path: Path) -> None:
    shown = page(chromium, f"{site.url}/assets/compact_logs?view=checks", tmp_path)
    assert "no_record_id_is_missing" in shown
    assert "2 records are missing before records of this hour: ids 150-151" in shown


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The UI alone, so that nothing changes but by whoever asks for it."""
    folder = tmp_path_factory.mktemp("victim")
    typed(folder, environment_of(folder), "init")
    with running(folder, environment_of(folder), "web") as found:
        yield found


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """A port of this machine where somebody else's page is served, and its log kept quiet."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(Path(__file__).parent))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", REBOUND])
def test_another_page_gets_nothing_done(chromium: str, victim: Ui, elsewhere: int, host: str, tmp_path: Path) -> None:
    """From another port of the same name, of another name of this machine, and of somebody else's name."""
    before = victim.state()
    mutations = [LAUNCH, victim.stop_sensor()]
    with tab(chromium, tmp_path) as page:
        page.open(f"http://{host}:{elsewhere}/attack.html")
        for name, mutation in product(("127.0.0.1", "localhost", REBOUND), mutations):
            page.run(f"attack({f'http://{name}:{victim.port}'!r}, {json.dumps(mutation)})")
        page.wait("done.length == expected")
        results: list[list[str]] = page.run("done")
    assert victim.state() == before
    assert len(results) > 100
    assert ["websocket", "opened"] not in results
    # What can be read of an answer is that there was one.
    assert {result for what, result in results if what.endswith(" cors")} == {"TypeError: Failed to fetch"}
    assert {result for what, result in results if what == "image"} == {"refused"}


def test_a_rebound_name_shows_nothing(chromium: str, victim: Ui, tmp_path: Path) -> None:
    with tab(chromium, tmp_path) as page:
        page.open(f"http://{REBOUND}:{victim.port}/assets")
        assert "put the name into ALLOWED_HOSTS" in page.run("document.body.innerText")
        # The page is the same origin now, and asks as the UI would.
        asked = "fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'})"
        assert page.run(f"{asked}.then(answer => answer.status)") == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_run_is_launched_by_a_click(chromium: str, victim: Ui, name: str, tmp_path: Path) -> None:
    before = victim.state()["runsOrError"]["count"]
    with tab(chromium, tmp_path) as page:
        page.open(f"http://{name}:{victim.port}/locations/log_assets.definitions/jobs/{TIDY_JOB}/playground")
        page.click("Launch Run")
        page.wait("location.pathname.startsWith('/runs/')")
    assert victim.state()["runsOrError"]["count"] == before + 1


def test_a_partition_is_materialized_by_clicks(chromium: str, site: Ui, tmp_path: Path) -> None:
    """The run takes the key, to read what the source gives: the daemon launches it."""
    wanted = f'tags: [{{key: "dagster/partition", value: "{Hour.of(datetime.now(UTC))}"}}]'
    query = f"{{ runsOrError(filter: {{{wanted}}}) {{ ... on Runs {{ results {{ status }} }} }} }}"
    with tab(chromium, tmp_path) as page:
        page.open(f"{site.url}/assets/raw_logs?view=overview")
        for button in ("Materialize…", "Latest", "Launch"):
            page.click(button)
        end = time.monotonic() + 60
        while (found := site.ask(query)["runsOrError"]["results"]) != [{"status": "SUCCESS"}]:
            assert time.monotonic() < end, found
            time.sleep(0.5)
