"""Sources, against real servers on loopback: what they give, and what each fault becomes."""

from __future__ import annotations

import gzip
import json
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from log_assets.errors import SettingError, SourceError
from log_assets.ports import open_source
from log_assets.records import payload
from log_assets.records.token import Keyring
from log_assets.source import Source
from log_assets.source.demo import RATE, DemoRecords, DemoSource
from log_assets.source.demo_server import DemoServer
from log_assets.source.folder import FolderSource
from log_assets.source.http import HttpSource, Limits
from log_assets_tests.raw_server import raw_server, response

KEY = Fernet.generate_key().decode()
RING = Keyring.parse(KEY)
QUICK = Limits(connect=1.0, read=0.3, whole=1.5, attempts=3, max_body=1 << 20)
START = datetime(2023, 3, 10, 1, tzinfo=UTC)


def contents(source: Source) -> list[bytes]:
    return [body.content for body in source.windows()]


def failure(url: str, limits: Limits = QUICK) -> str:
    with pytest.raises(SourceError) as caught:
        contents(HttpSource(url, limits=limits))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "body", [b"[]", b"[1]", b"<html>maintenance</html>", b'{"error": "no list"}', b"\xff\x00", b""],
    ids=["empty list", "list", "HTML", "object instead of a list", "binary", "nothing"],
)  # fmt: skip
def test_a_body_is_given_unchanged_whatever_it_is(body: bytes) -> None:
    with raw_server(lambda connection, _: connection.sendall(response(body))) as (url, _):
        assert contents(HttpSource(url, limits=QUICK)) == [body]


def test_a_server_error_that_passes_is_tried_again() -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(response(b"[1]") if number == 3 else response(b"", "500 Oops"))

    with raw_server(answer) as (url, requests):
        assert contents(HttpSource(url, limits=QUICK)) == [b"[1]"]
        assert len(requests) == 3


def test_a_server_error_for_ever_is_one_clear_error() -> None:
    with raw_server(lambda connection, _: connection.sendall(response(b"", "500 Oops"))) as (url, requests):
        assert "answered 500" in failure(url)
        assert len(requests) == 3


def test_a_refusal_is_not_tried_again() -> None:
    with raw_server(lambda connection, _: connection.sendall(response(b"", "403 Forbidden"))) as (url, requests):
        assert "answered 403: check SOURCE_URL" in failure(url)
        assert len(requests) == 1


def test_half_a_body_is_tried_again_and_then_an_error() -> None:
    with raw_server(lambda connection, _: connection.sendall(response(b"[1, 2", length=100))) as (url, requests):
        assert "could not be read" in failure(url)
        assert len(requests) == 3


def test_a_source_that_says_nothing_for_a_minute_is_given_up() -> None:
    with raw_server(lambda connection, _: time.sleep(1)) as (url, _):
        start = time.monotonic()
        assert "did not answer in time" in failure(url)
        assert time.monotonic() - start < 10


def test_a_body_that_trickles_is_cut_off_by_the_clock() -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(response(b"", length=10_000))
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.1)

    with raw_server(answer) as (url, _):
        assert "longer than" in failure(url, Limits(read=1.0, whole=0.5, attempts=1))


def test_a_gzip_bomb_is_stopped_at_the_limit_in_bounded_memory() -> None:
    bomb = gzip.compress(bytes(300 << 20), 9)
    tracemalloc.start()
    try:
        with raw_server(
            lambda connection, _: connection.sendall(response(bomb, headers="Content-Encoding: gzip\r\n"))
        ) as (url, requests):
            assert "more than 1,048,576 bytes" in failure(url)
            assert len(requests) == 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_redirects_are_followed_but_not_for_ever() -> None:
    def answer(connection: socket.socket, number: int) -> None:
        last = number == 3
        connection.sendall(response(b"[1]") if last else response(b"", "302 Found", "Location: /other\r\n"))

    with raw_server(answer) as (url, _):
        assert contents(HttpSource(url, limits=QUICK)) == [b"[1]"]
    with raw_server(lambda c, _: c.sendall(response(b"", "302 Found", "Location: /logs\r\n"))) as (url, requests):
        assert "redirected more than 5 times" in failure(url)
        assert len(requests) == 6


@pytest.mark.parametrize("target", ["https://127.0.0.1:1/", "file:///etc/passwd"])
def test_a_redirect_to_another_scheme_is_refused(target: str) -> None:
    with raw_server(lambda c, _: c.sendall(response(b"", "302 Found", f"Location: {target}\r\n"))) as (url, _):
        assert "redirects to another scheme" in failure(url)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "is it up, and SOURCE_URL right?" in failure(f"http://127.0.0.1:{port}/logs")


def test_secrets_of_the_url_are_in_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://user:hunter2@127.0.0.1:{port}/logs?token=hunter3"
    assert "hunter" not in failure(url)
    assert "hunter" not in HttpSource(url).url
    with raw_server(lambda c, _: c.sendall(response(b"", "401 No"))) as (other, _):
        assert "hunter" not in failure(other.replace("http://", "http://user:hunter2@") + "?token=hunter3")


def test_http_to_another_host_must_be_asked_for() -> None:
    with pytest.raises(SettingError, match="SOURCE_ALLOW_HTTP=1"):
        open_source("http://example.com/logs")
    open_source("http://example.com/logs", allow_http=True).close()
    for host in ("localhost", "127.0.0.1", "[::1]"):
        open_source(f"http://{host}:1/logs").close()


def test_closing_breaks_off_a_request_under_way() -> None:
    with raw_server(lambda connection, _: time.sleep(3)) as (url, _):
        source = HttpSource(url)
        threading.Timer(0.3, source.close).start()
        start = time.monotonic()
        with pytest.raises(SourceError):
            contents(source)
        assert time.monotonic() - start < 5


def test_history_is_asked_by_range_and_a_range_that_is_too_large_is_halved() -> None:
    with DemoServer(RING).running() as url:
        template = url + "?from={start}&to={end}"
        end = START + timedelta(minutes=4)
        whole = json.loads(next(HttpSource(template).history(START, end)).content)
        assert len(whole) == 4 * 60 * RATE
        small = HttpSource(template, limits=Limits(max_body=150_000))
        parts = [json.loads(body.content) for body in small.history(START, end)]
        assert len(parts) >= 3
        assert [item for part in parts for item in part] == whole
        tiny = HttpSource(template, limits=Limits(max_body=100))
        with pytest.raises(SourceError, match="more than 100 bytes, even for"):
            list(tiny.history(START, end))
        assert len(contents(HttpSource(template))) == 1


def test_a_window_source_says_how_history_would_be_asked_for() -> None:
    with pytest.raises(SourceError, match=r"\{start\}"):
        list(HttpSource("https://example.com/logs").history(START, START))


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_source_that_says_when_is_not_asked_before(status: str) -> None:
    busy = response(b"", status, headers="Retry-After: 30\r\n")
    with raw_server(lambda connection, _: connection.sendall(busy)) as (url, requests):
        with pytest.raises(SourceError, match=f"answered {status[:3]}, and wants no request for 30 s") as caught:
            contents(HttpSource(url, limits=QUICK))
        assert caught.value.retry_after == 30
        assert len(requests) == 1


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True), 80, 90),
        (lambda: format_datetime(datetime.now(UTC) - timedelta(seconds=90), usegmt=True), 0, 0),
        (lambda: "999999999", 3600, 3600),
        (lambda: "0", 0, 0),
    ],
    ids=["a date", "a date that is past", "for ever", "now"],
)
def test_when_a_source_wants_to_be_asked(header: Callable[[], str], least: float, most: float) -> None:
    busy = response(b"", "429 Too Many Requests", headers=f"Retry-After: {header()}\r\n")
    with raw_server(lambda connection, _: connection.sendall(busy)) as (url, _):
        with pytest.raises(SourceError) as caught:
            contents(HttpSource(url, limits=QUICK))
        assert caught.value.retry_after is not None
        assert least <= caught.value.retry_after <= most


@pytest.mark.parametrize("status", ["408 Request Timeout", "425 Too Early", "429 Too Many Requests", "500 Oops"])
@pytest.mark.parametrize("header", ["", "Retry-After: soon\r\n"])
def test_what_may_be_over_soon_is_tried_again(status: str, header: str) -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(response(b"[1]") if number == 3 else response(b"", status, headers=header))

    with raw_server(answer) as (url, requests):
        assert contents(HttpSource(url, limits=QUICK)) == [b"[1]"]
        assert len(requests) == 3


def test_history_waits_for_a_source_that_says_when() -> None:
    def answer(connection: socket.socket, number: int) -> None:
        busy = response(b"", "429 Too Many Requests", headers="Retry-After: 1\r\n")
        connection.sendall(busy if number == 1 else response(b"[1]"))

    with raw_server(answer) as (url, requests):
        source = HttpSource(url + "?from={start}&to={end}", limits=QUICK)
        start = time.monotonic()
        assert [body.content for body in source.history(START, START + timedelta(hours=1))] == [b"[1]"]
        assert time.monotonic() - start >= 1
        assert len(requests) == 2


def test_history_is_asked_for_no_faster_than_allowed() -> None:
    with raw_server(lambda connection, _: connection.sendall(response(b"[1]"))) as (url, requests):
        source = HttpSource(url + "?from={start}&to={end}", limits=replace(QUICK, per_second=10))
        start = time.monotonic()
        for hour in range(4):
            list(source.history(START + timedelta(hours=hour), START + timedelta(hours=hour + 1)))
        assert time.monotonic() - start >= 0.3
        assert len(requests) == 4


def test_a_folder_is_read_in_order_of_name(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(b"[2]")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"[1") + gzip.compress(b"]"))
    (tmp_path / "c.txt").write_bytes(b"not asked for")
    source = open_source(tmp_path.as_uri())
    assert [(body.name, body.content) for body in source.windows()] == [("a.json.gz", b"[1]"), ("b.json", b"[2]")]
    assert not source.has_history
    assert not source.rolling


def test_every_file_of_a_folder_is_read_or_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    day = tmp_path / "2023" / "03" / "10"
    (day / "01").mkdir(parents=True)
    read = {
        "a.JSON": b"[1]",
        "b.jsonl": b"[2]",
        "c.ndjson.gz": gzip.compress(b"[3]"),
        "d.log": gzip.compress(b"[4]"),
        "e.log.gz": b"[5]",
        "f.Log.GZ": gzip.compress(gzip.compress(b"[6]")) + bytes(512),
        "01/g.json": b"[7]",
    }
    for name, content in read.items():
        (day / name).write_bytes(content)
    (day / "readme.txt").write_bytes(b"not asked for")
    (tmp_path / "elsewhere").symlink_to(day)
    source = FolderSource(tmp_path.as_uri())
    names = [body.name for body in source.windows()]
    assert names == sorted(f"2023/03/10/{name}" for name in read)
    assert contents(source) == [b"[7]", b"[1]", b"[2]", b"[3]", b"[4]", b"[5]", b"[6]"]
    # Once, however often the folder is looked through.
    (told,) = [one.getMessage() for one in caplog.records]
    assert told.startswith("2 files")
    assert "2023/03/10/readme.txt, elsewhere;" in told


PACKED = gzip.compress(b"[1]", mtime=0)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PACKED, "Content-Encoding: gzip"),
        (PACKED, "Content-Encoding: x-gzip"),
        (PACKED, "Content-Encoding: GZip"),
        (gzip.compress(PACKED, mtime=0), "Content-Encoding: gzip, gzip"),
        (PACKED, "Content-Encoding: identity, gzip"),
        (PACKED, "Content-Encoding: aws-chunked"),
        (PACKED, "Content-Encoding:"),
        (PACKED, "Content-Encoding: from-nowhere"),
        (PACKED, "Content-Type: application/gzip"),
        (PACKED, "Content-Type: application/json"),
        (PACKED + bytes(512), "Content-Encoding: gzip"),
        (b"[1]", "Content-Encoding: gzip"),
        (b"[1]", "Content-Encoding: br"),
        (b"[1]", "Content-Encoding: aws-chunked, identity"),
        (b"[1]", ""),
    ],
)
def test_gzip_is_unpacked_whatever_the_headers_call_it(body: bytes, headers: str) -> None:
    headers = f"{headers}\r\n" if headers else ""
    with raw_server(lambda connection, _: connection.sendall(response(body, headers=headers))) as (url, _):
        assert contents(HttpSource(url, limits=QUICK)) == [b"[1]"]


def test_a_body_packed_in_another_way_is_kept_as_it_came() -> None:
    body = b"\x1b\x02\x00\xf8\x05[1]\x03"
    answer = response(body, headers="Content-Encoding: br\r\n")
    with raw_server(lambda connection, _: connection.sendall(answer)) as (url, _):
        assert contents(HttpSource(url, limits=QUICK)) == [body]


def test_gzip_that_stays_broken_is_kept_as_it_came_when_it_cannot_be_asked_for_again() -> None:
    with raw_server(lambda connection, _: connection.sendall(response(PACKED[:-6]))) as (url, requests):
        assert contents(HttpSource(url, limits=QUICK)) == [PACKED[:-6]]
        assert len(requests) == QUICK.attempts
        history = HttpSource(url + "?from={start}&to={end}", limits=QUICK)
        with pytest.raises(SourceError, match="gzip that is cut short"):
            list(history.history(START, START + timedelta(hours=1)))


def test_no_content_is_an_answer() -> None:
    nothing = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    with raw_server(lambda connection, _: connection.sendall(nothing)) as (url, requests):
        assert contents(HttpSource(url, limits=QUICK)) == [b""]
        assert len(requests) == 1


def test_a_damaged_file_in_a_folder_is_named_after_the_others_were_read(tmp_path: Path) -> None:
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"[1]")[:-9])
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(bytes(3 << 20)))
    (tmp_path / "c.json").write_bytes(b"[3]")
    (tmp_path / "d.json.gz").write_bytes(gzip.compress(b"[1]") + b"no gzip")
    os.mkfifo(tmp_path / "e.json")
    source = FolderSource(tmp_path.as_uri(), max_body=1 << 20)
    read: list[bytes] = []
    with pytest.raises(SourceError, match=r"4 files .* a\.json\.gz .* b\.json\.gz .* d\.json\.gz .* e\.json"):  # noqa: PT012
        for body in source.windows():
            read.append(body.content)  # noqa: PERF401 (what came before the error counts)
    assert read == [b"[3]"]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_folder_that_is_none_is_one_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SourceError, match="check SOURCE_URL"):
        contents(open_source((tmp_path / name).as_uri()))


@pytest.mark.parametrize("url", ["ftp://host/x", "plain", "", "https://", "file://host/x", "demo://?seed=x"])
def test_a_url_of_no_source_names_the_variable(url: str) -> None:
    with pytest.raises(SettingError, match="SOURCE_URL"):
        open_source(url, keyring=RING)


def test_the_demo_needs_its_key() -> None:
    with pytest.raises(SettingError, match="run log-assets init"):
        open_source("demo://")


def test_demo_records_are_like_the_real_ones() -> None:
    records = DemoRecords()
    numbers = records.numbers(START, START + timedelta(hours=1))
    assert len(numbers) in range(3600 * RATE - 1, 3600 * RATE + 2)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    times = [records.time_of(number) for number in numbers]
    assert times == sorted(set(times))
    assert START <= times[0] < times[-1] < START + timedelta(hours=1)
    one = records.record(numbers[5])
    assert list(one) == ["user_id", "record_id", "activity", "url", "method", "name", "inDate", "detail"]
    found = [records.record(number) for number in numbers]
    assert {record["activity"] for record in found} == {"view", "cart", "purchase"}
    assert len({record["user_id"] for record in found}) < len(found) / 2


def test_the_demo_gives_the_same_bytes_whenever_it_is_asked() -> None:
    moment = START + timedelta(minutes=5)
    source = DemoSource(RING, 7, lambda: moment)
    (window,) = source.windows()
    assert [body.content for body in DemoSource(RING, 7, lambda: moment).windows()] == [window.content]
    (history,) = source.history(START, START + timedelta(hours=1))
    items = json.loads(history.content)
    assert json.loads(window.content) == items[-100:]
    tokens = [item["data"] for item in items]
    assert [Fernet(KEY).decrypt(token) for token in tokens] == RING.decrypt(tokens)
    records = [DemoRecords(7).record(item["recordId"]) for item in items]
    assert payload.parse([Fernet(KEY).decrypt(token) for token in tokens]) == records
    assert items[0]["ArrivalTimeStamp"] == datetime.fromisoformat(records[0]["inDate"]).timestamp()


def test_the_demo_server_serves_what_the_source_gives() -> None:
    moment = START + timedelta(minutes=5)
    records = DemoRecords(dropped=((-1, 0),))
    with DemoServer(RING, records, now=lambda: moment, late=[7]).running() as url:
        (window,) = HttpSource(url).windows()
        assert window.content == records.window(RING, moment, [7])
        with pytest.raises(SourceError, match="answered 400"):
            contents(HttpSource(url + "?from=yesterday"))


def test_dropped_and_reset_counters() -> None:
    reset = START + timedelta(minutes=1)
    records = DemoRecords(
        dropped=((DemoRecords().first_number(START) + 5, DemoRecords().first_number(START) + 9),), reset=reset
    )
    numbers = records.numbers(START, START + timedelta(minutes=2))
    assert len(numbers) == 2 * 60 * RATE - 5
    found = [records.record_id(number) for number in numbers]
    assert 1 in found
    assert found[found.index(1) :] == list(range(1, 60 * RATE + 1))


def test_a_redirect_to_another_host_is_refused_and_to_another_path_followed() -> None:
    def answer(connection: socket.socket, number: int) -> None:
        where = "http://localhost.:9/logs" if number == 1 else "/elsewhere" if number == 2 else ""
        moved = response(b"", "302 Found", f"Location: {where}\r\n")
        connection.sendall(moved if where else response(b"[]"))

    with raw_server(answer) as (url, _):
        assert "redirects to another host, localhost." in failure(url)
        assert contents(HttpSource(url, limits=QUICK)) == [b"[]"]


def test_header_lines_that_drip_end_at_the_deadline_of_the_whole() -> None:
    def drip(connection: socket.socket, _: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(200):
            connection.sendall(b"X-%d: x\r\n" % number)
            time.sleep(0.1)

    limits = Limits(connect=1.0, read=0.3, whole=0.8, attempts=1)
    with raw_server(drip) as (url, _):
        source = HttpSource(url, limits=limits)
        start = time.monotonic()
        with pytest.raises(SourceError, match=r"took longer than 0\.8 s"):
            contents(source)
        assert time.monotonic() - start < 5
    # And the source is asked again as if nothing had been.
    with pytest.raises(SourceError, match="could not be read"):
        contents(source)


def test_pipes_devices_and_links_that_leave_the_folder_are_skipped_and_named(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "secret.json"
    folder.mkdir()
    outside.write_bytes(b'["secret"]')
    (folder / "b.json").write_bytes(b"[1]")
    (folder / "c.json").symlink_to(folder / "b.json")
    os.mkfifo(folder / "a.json")
    (folder / "d.json").symlink_to(outside)
    (folder / "e.json").symlink_to("/dev/zero")
    (folder / "f.json").symlink_to("nowhere")
    (folder / "g.json").mkdir()
    with pytest.raises(SourceError) as caught:
        contents(FolderSource(folder.as_uri()))
    for name in (
        "a.json (no regular file)",
        "d.json (a link that leaves",
        "e.json (a link",
        "f.json (no regular file)",
    ):
        assert name in str(caught.value)
    given = FolderSource(folder.as_uri()).windows()
    # Both that are files of the folder come before the error.
    assert [next(given).content, next(given).content] == [b"[1]", b"[1]"]
