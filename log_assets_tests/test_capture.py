"""The capturer: nothing parsed that needs not be, nothing lost without a word, and a clean end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from log_assets.errors import LakeError, SourceError
from log_assets.hour import Hour
from log_assets.lake import Lake, layout
from log_assets.ports import open_lake
from log_assets.records import lines
from log_assets.records.token import Keyring
from log_assets.source import Body
from log_assets.source.demo import DemoRecords
from log_assets.source.demo_server import DemoServer
from log_assets.source.folder import FolderSource
from log_assets.steps.capture import Capturer, Pace, capture_all, watch
from log_assets.steps.capture_report import capture_reports
from log_assets.steps.receipts import pending
from log_assets.steps.transform import transform_all
from log_assets_tests.kit import Kit, body, record
from log_assets_tests.scripted import Scripted


class Refusing:
    """A lake that can be made to refuse every write."""

    def __init__(self, inner: Lake) -> None:
        self._inner, self.refuses = inner, False

    def __getattr__(self, name: str) -> Any:
        if self.refuses and name in ("put", "replace"):
            return self._refuse
        return getattr(self._inner, name)

    def _refuse(self, key: str, content: bytes) -> bool:
        raise LakeError("no space left on device")


@pytest.fixture
def spool(tmp_path: Path) -> Lake:
    return open_lake((tmp_path / "spool").as_uri())


def window(kit: Kit, first: int, last: int) -> bytes:
    return body(kit.keyring, [record(number) for number in range(first, last + 1)])


def capturer(kit: Kit, spool: Lake, *shown: bytes | Exception, lake: Lake | None = None) -> Capturer:
    return Capturer(Scripted(*shown), lake or kit.lake, spool, kit.now)


def log_of(kit: Kit) -> dict[str, Any]:
    (key,) = kit.keys("capture")
    found: dict[str, object] = json.loads(kit.lake.get(key))
    return found


def test_a_body_is_put_as_it_came_and_an_identical_one_once(kit: Kit, spool: Lake) -> None:
    bodies = [window(kit, 1, 3), b"<html>no list</html>"]
    it = capturer(kit, spool, bodies[0], bodies[0], bodies[1], bodies[1], b"[]")
    for _ in range(6):
        it.poll()
    keys = kit.keys("raw")
    assert [lines.unpack(kit.lake.get(key), layout.digest_of(key), key) for key in keys] == bodies
    assert kit.keys("rows") == []


def test_capture_needs_no_key_and_puts_under_raw_and_capture_only(kit: Kit, spool: Lake) -> None:
    before = kit.keys("")
    it = capturer(kit, spool, window(kit, 1, 3))
    it.poll()
    it.write_log()
    assert {key.split("/")[0] for key in set(kit.keys("")) - set(before)} == {"raw", "capture"}


def test_records_that_fell_between_two_windows_are_told(
    kit: Kit, spool: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    it = capturer(kit, spool, window(kit, 1, 10), window(kit, 16, 25), window(kit, 20, 29))
    for _ in range(3):
        it.poll()
    it.write_log()
    assert log_of(kit)["lost_ids"] == [[11, 15]]
    assert "ids 11-15" in caplog.text
    hour = Hour.of(kit.clock)
    assert capture_reports(kit.lake, kit.catalog, [hour], kit.clock)[hour].lost == ((11, 15),)
    # Another capturer had some of them.
    kit.land([record(number, kit.clock) for number in range(1, 14)])
    kit.publish(hour)
    assert capture_reports(kit.lake, kit.catalog, [hour], kit.clock)[hour].lost == ((14, 15),)


def test_the_capture_log_counts_polls_failures_and_the_longest_gap(kit: Kit, spool: Lake) -> None:
    it = capturer(kit, spool, window(kit, 1, 10), SourceError("down"), window(kit, 5, 14))
    it.poll()
    kit.clock += timedelta(seconds=7)
    it.poll()
    kit.clock += timedelta(seconds=11)
    it.poll()
    it.write_log()
    log = log_of(kit)
    assert (log["polls"], log["failures"], log["windows"]) == (3, 1, 2)
    assert 18 <= float(str(log["longest_gap_seconds"])) < 19


def test_a_new_hour_begins_a_new_log(kit: Kit, spool: Lake) -> None:
    it = capturer(kit, spool, window(kit, 1, 10))
    it.poll()
    kit.clock += timedelta(hours=1)
    it.write_log()
    it.write_log()
    assert [json.loads(kit.lake.get(key))["polls"] for key in kit.keys("capture")] == [1, 0]


def test_pace_follows_the_overlap() -> None:
    pace = Pace(first=10, floor=1, ceiling=20)
    assert pace.next(10, new=100, total=100, elapsed=10) == 5
    assert pace.next(1.5, new=100, total=100, elapsed=10) == 1
    assert pace.next(10, new=50, total=100, elapsed=10) == 10
    assert pace.next(10, new=10, total=100, elapsed=10) == 20
    assert 5 < pace.next(10, new=90, total=100, elapsed=10) < 10
    assert pace.next(10, new=0, total=0, elapsed=10) == 10


def test_windows_wait_in_the_spool_while_the_lake_refuses_and_are_delivered_oldest_first(
    kit: Kit, spool: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    lake = Refusing(kit.lake)
    bodies = [window(kit, start, start + 9) for start in (1, 6, 11)]
    it = capturer(kit, spool, *bodies, b"[]", lake=lake)
    lake.refuses = True
    for _ in range(3):
        assert it.poll() == []
    it.write_log()
    assert len(list(spool.entries(""))) == 3
    assert kit.keys("raw") == []
    assert "waits in the spool" in caplog.text
    lake.refuses = False
    # A capturer that was started anew finds them too.
    again = capturer(kit, spool, b"[]")
    assert len(again.poll()) == 3
    assert list(spool.entries("")) == []
    keys = kit.keys("raw")
    assert [lines.unpack(kit.lake.get(key), layout.digest_of(key), key) for key in keys] == bodies
    again.write_log()
    assert len(log_of(kit)["spooled"]) == 3


def test_a_full_spool_is_a_loss_that_is_told(
    kit: Kit, spool: Lake, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("log_assets.steps.capture.MAX_SPOOL", 3000)
    lake = Refusing(kit.lake)
    lake.refuses = True
    it = capturer(kit, spool, window(kit, 1, 8), window(kit, 4, 12), lake=lake)
    it.poll()
    it.poll()
    assert len(list(spool.entries(""))) == 1
    assert "a window is lost" in caplog.text


def test_a_folder_and_a_history_are_put_once_however_often(kit: Kit) -> None:
    bodies = [Body(window(kit, 1, 5), "a"), Body(window(kit, 6, 9), "b"), Body(b"[ ]", "c")]
    assert len(capture_all(kit.lake, iter(bodies), kit.now).windows) == 2
    assert capture_all(kit.lake, iter(bodies), kit.now).windows == []
    transform_all(kit.lake, kit.keyring, pending(kit.lake))
    # A window that was tidied away is still known by its receipt.
    kit.lake.delete(kit.keys("raw"))
    assert capture_all(kit.lake, iter(bodies), kit.now).windows == []


def test_a_folder_is_watched_until_told_to_stop(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("log_assets.steps.capture.WATCH_SECONDS", 0.05)
    folder = tmp_path / "source"
    folder.mkdir()
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=(FolderSource(folder.as_uri()), kit.lake, kit.now, stop))
    thread.start()
    for number in (1, 2):
        (folder / f"{number}.json").write_bytes(window(kit, number, number))
        end = time.monotonic() + 10
        while len(kit.keys("raw")) < number and time.monotonic() < end:
            time.sleep(0.02)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert len(kit.keys("raw")) == 2


def test_what_a_source_gave_before_it_failed_is_kept(kit: Kit) -> None:
    def bodies() -> Iterator[Body]:
        yield Body(window(kit, 1, 5), "a")
        raise SourceError("the rest cannot be read")

    captured = capture_all(kit.lake, bodies(), kit.now)
    assert len(captured.windows) == 1
    assert "the rest" in str(captured.problem)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_poll_ends_within_five_seconds_with_its_window_written(tmp_path: Path, number: signal.Signals) -> None:
    keyring = Keyring.parse(Keyring.generate())
    with DemoServer(keyring).running() as url:
        environment = os.environ | {"SOURCE_URL": url, "LOG_ASSETS_HOME": str(tmp_path / "home")}
        environment.pop("f_key", None)
        process = subprocess.Popen(
            [sys.executable, "-m", "log_assets", "poll"], env=environment, stderr=subprocess.PIPE, cwd=tmp_path
        )
        raw = tmp_path / "home/lake/raw"
        end = time.monotonic() + 20
        while not list(raw.rglob("*.json.gz")) and time.monotonic() < end:
            time.sleep(0.05)
        start = time.monotonic()
        process.send_signal(number)
        _, said = process.communicate(timeout=10)
        assert time.monotonic() - start < 5
    assert process.returncode == 0, said
    assert b"Traceback" not in said
    kit = Kit(tmp_path / "home", keyring)
    assert kit.keys("raw")
    assert len(kit.keys("capture")) == 1
    assert not list((tmp_path / "home").rglob("*#*"))
    done = transform_all(kit.lake, keyring, pending(kit.lake))
    assert sum(receipt.kept for receipt in done.receipts) >= 100


def test_three_capturers_of_one_source_do_no_harm(kit: Kit, spool: Lake) -> None:
    moment = DemoRecords().time_of(10**6)
    kit.clock = moment
    records = DemoRecords()
    barrier = threading.Barrier(3)

    class Live(Scripted):
        def windows(self) -> Iterator[Body]:
            barrier.wait()
            yield Body(records.window(kit.keyring, moment), self.url)

    def run() -> None:
        Capturer(Live(), kit.lake, spool, kit.now).poll()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(kit.keys("raw")) <= 3
    done = transform_all(kit.lake, kit.keyring, pending(kit.lake))
    kit.publish(*done.hours)
    assert sum(len(kit.ids(hour)) for hour in done.hours) == 100


def test_stray_and_damaged_files_in_the_spool_stay_there_and_stop_no_delivery(kit: Kit, spool: Lake) -> None:
    for number in range(3):
        packed = lines.pack(b'[{"recordId": %d, "data": "x"}]' % number)
        spool.put(layout.spool_key(layout.window_name(kit.now(), packed.digest)), packed.data)
    (first, *_) = [entry.key for entry in spool.entries("")]
    spool.replace(first, b"damaged")
    for stray in (".DS_Store", "readme.txt", "x.json.gz", "20231399T990000001Z-" + "0" * 32 + ".json.gz", "a/b"):
        spool.put(stray, b"x")
    capturer = Capturer(Scripted(b"[]"), kit.lake, spool, kit.now)
    assert len(capturer.poll()) == 2
    assert len(kit.keys("raw")) == 2
    assert len(list(spool.entries(""))) == 6
