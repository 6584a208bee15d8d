"""Hostile content under the right names: one object never stops another, whatever is in it."""

from __future__ import annotations

import json
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from log_assets.lake import layout
from log_assets.records import envelope, lines, row
from log_assets.records.reject import Reason
from log_assets.steps import audit
from log_assets.steps.capture import Capturer, put_window
from log_assets.steps.capture_report import capture_reports
from log_assets.steps.due import Cursor, find_stale
from log_assets.steps.publish import Published, publish
from log_assets.steps.receipts import Receipt, pending, with_rejects
from log_assets.steps.tidy import tidy
from log_assets.steps.transform import transform_all
from log_assets_tests.kit import H0, Kit, body, record
from log_assets_tests.scripted import Scripted
from log_assets_tests.world import World

DEEP = b"[" * 1024 + b"]" * 1024
DEEP_ITEM = b'[{"data": ' + b"[" * 1000 + b"]" * 1000 + b"}]"


@pytest.mark.parametrize(
    "content", [DEEP, DEEP_ITEM, b'{"data":' * 900 + b"1" + b"}" * 900], ids=["list", "item", "dict"]
)
def test_a_body_too_deep_to_be_written_again_is_a_reject_that_keeps_its_bytes(kit: Kit, content: bytes) -> None:
    bad = put_window(kit.lake, content, kit.now())
    good = kit.capture([record(1)])
    done = transform_all(kit.lake, kit.keyring, pending(kit.lake))
    assert {receipt.window for receipt in done.receipts} == {bad, good}
    assert done.problems() == []
    (receipt,) = with_rejects(kit.lake).found
    assert receipt.rejects_key is not None
    kept = lines.unpack(kit.lake.get(receipt.rejects_key), layout.digest_of(receipt.rejects_key), "rejects")
    told = [json.loads(line) for line in kept.splitlines()]
    if told[-1].get("body") != content.decode():
        assert [one["item"] for one in told] == [json.loads(content)]


@pytest.mark.parametrize("unit", [b"1,", b"{},", b"[],"], ids=["numbers", "dicts", "lists"])
def test_millions_of_items_are_one_reject_in_bounded_memory(kit: Kit, unit: bytes) -> None:
    content = b"[" + unit * 4_000_000 + b"1]"
    window = put_window(kit.lake, content, kit.now())
    tracemalloc.start()
    receipt = kit.transform(window)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(receipt, Receipt)
    assert receipt.rejects == {str(Reason.TOO_LARGE): 1}
    assert peak < 12 * len(content)


def test_as_many_items_as_are_allowed_are_read() -> None:
    item = b'{"recordId": 1, "ArrivalTimeStamp": 1678412891.818, "data": "x"},'
    most = b"[" + item * (envelope.MAX_ITEMS - 1) + item[:-1] + b"]"
    assert len(envelope.read(most).items) == envelope.MAX_ITEMS
    more = envelope.read(b"[" + item + most[1:])
    assert (more.items, [reject.reason for reject, _ in more.unread]) == ([], [Reason.TOO_LARGE])


def test_the_capturer_writes_a_window_down_before_it_looks_into_it(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: bytes) -> Any:
        raise MemoryError

    monkeypatch.setattr("log_assets.records.envelope.read", breaks)
    spool = Kit(kit.folder / "spool").lake
    capturer = Capturer(Scripted(b"[1]", b"[2]"), kit.lake, spool, kit.now)
    assert len(capturer.poll()) == len(capturer.poll()) == 1
    assert len(pending(kit.lake)) == 2


def test_a_window_that_breaks_the_codec_is_named_waits_longer_each_time_and_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = world.kit
    bad = kit.capture([record(1)])
    kit.capture([record(2)])
    read, broken = envelope.read, kit.lake.get(layout.raw_key(bad))
    monkeypatch.setattr(
        "log_assets.records.envelope.read",
        lambda content: read(content) if lines.pack(content).data != broken else json.loads("[" * 100_000),
    )
    requests, result = world.tick()
    assert [request.partition_key for request in requests] == [H0]
    tries, again = Cursor.from_json(result.cursor).failing[bad]
    assert tries == 1
    kit.publish(H0)
    requests, result = world.tick(result.cursor)
    assert "1 windows could not be read and wait to be tried again" in str(result.skip_reason)
    cursor = Cursor.from_json(result.cursor)
    assert cursor.failing[bad] == (1, again)
    # Each further failure doubles the wait, up to an hour.
    waits = []
    for _ in range(9):
        cursor = cursor.with_failures([bad], [bad], again)
        waits.append(cursor.failing[bad][1] - again)
    assert waits[:3] == [timedelta(minutes=2), timedelta(minutes=4), timedelta(minutes=8)]
    assert waits[-1] == timedelta(hours=1)
    assert cursor.with_failures([], [], again).failing == {}
    done = transform_all(kit.lake, kit.keyring, pending(kit.lake))
    assert list(done.failed) == [bad]
    assert layout.raw_key(bad) in done.problems()[0]
    assert "RecursionError" in done.problems()[0]
    # The cause removed, it is read as if nothing had been.
    monkeypatch.undo()
    assert not transform_all(kit.lake, kit.keyring, pending(kit.lake)).problems()
    kit.publish(H0)
    assert kit.ids() == [1, 2]


CONTENT = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(str.encode),
    st.sampled_from([b"", b"{}", b"[]", b"null", b"{", b"\xff\xfe", b"\n", b"[" * 3000, DEEP, b'{"rows":[],"x":1}']),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "window",
                        "rows",
                        "records",
                        "kept",
                        "rejects",
                        "id_ranges",
                        "rejects_key",
                        "row_version",
                        "summary",
                        "data",
                    ]
                ),
                inner,
                max_size=8,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=CONTENT, kind=st.sampled_from(["window", "rows", "receipt", "reject", "capture log", "manifest", "lines"])
)
def test_one_object_never_stops_another(tmp_path_factory: pytest.TempPathFactory, content: bytes, kind: str) -> None:
    """Each kind of object with any content under the digest that its name promises; the hour beside it goes on."""
    kit = Kit(tmp_path_factory.mktemp("lake"))
    other = H0.plus(1)
    window = kit.capture([record(1)])
    kit.transform(window)
    packed, digest = lines.pack(content), lines.digest(content)
    alien = layout.window_name(kit.now(), digest)
    match kind:
        case "window":
            kit.lake.put(layout.raw_key(alien), packed.data)
        case "rows":
            kit.lake.put(layout.rows_key(H0, window, row.ROW_VERSION, digest), packed.data)
        case "receipt":
            kit.lake.put(layout.receipt_key(window, digest), content)
            kit.lake.put(layout.rejects_key(window, digest), packed.data)
        case "reject":
            kit.lake.put(layout.rejects_key(window, digest), packed.data)
        case "capture log":
            kit.lake.replace(layout.capture_key(H0, "host-1-x"), content)
        case "manifest":
            kit.publish(H0)
            kit.lake.put(layout.manifest_key(H0, kit.partition().digest, digest), content)
        case "lines":
            kit.lake.put(layout.lines_key(H0, digest), packed.data)
    kit.capture([record(3601)])
    done = transform_all(kit.lake, kit.keyring, pending(kit.lake))
    assert other in done.hours
    search = find_stale(kit.lake, kit.catalog, Cursor(), kit.now())
    assert other in [one.hour for one in search.stale]
    outcome = publish(kit.lake, kit.catalog, [H0, other], kit.now)
    assert isinstance(outcome[other], Published)
    assert kit.ids(other) == [3601]
    status = audit.status(kit.lake, kit.catalog)
    assert other in [hour.hour for hour in status.hours]
    capture_reports(kit.lake, kit.catalog, [H0, other], kit.clock)
    for partition in kit.catalog.partitions():
        audit.soundness(kit.lake, partition)
    kit.age(48)
    tidy(kit.lake, kit.catalog, kit.now(), raw_days=1)
    assert kit.ids(other) == [3601]
    # What is published of the hour itself holds its record, whatever came beside it.
    if isinstance(outcome[H0], Published) and kind != "rows":
        assert 1 in kit.ids()


def test_a_body_of_a_good_record_and_hostile_items_gives_the_record(kit: Kit) -> None:
    good = json.loads(body(kit.keyring, [record(1)]))
    odd: list[Any] = [
        None,
        1,
        "x",
        [],
        {},
        {"data": None},
        {"data": [[]]},
        {"data": "gAAAA"},
        {"data": {"a": 1}},
        [["data"]],
    ]
    receipt = kit.transform(put_window(kit.lake, json.dumps([*odd, *good]).encode(), kit.now()))
    assert isinstance(receipt, Receipt)
    assert (receipt.kept, receipt.rejected) == (1, len(odd))
