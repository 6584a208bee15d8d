"""Transform, compact, publish, restore, requeue and tidy over real adapters."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from log_assets.catalog import Move
from log_assets.errors import CatalogError, Damaged, LakeError
from log_assets.hour import Hour
from log_assets.lake import layout
from log_assets.records import lines, row
from log_assets.records.reject import Reason
from log_assets.records.token import Keyring
from log_assets.steps import audit
from log_assets.steps.audit import Soundness
from log_assets.steps.capture import put_window
from log_assets.steps.compact import compact
from log_assets.steps.generations import read_lines
from log_assets.steps.publish import Published, publish
from log_assets.steps.receipts import Receipt, pending, with_rejects
from log_assets.steps.restore import restore
from log_assets.steps.tidy import tidy
from log_assets.steps.transform import WrongKey, transform_all
from log_assets_tests.kit import BASE, H0, Kit, body, envelope, real_records, record

H1 = H0.plus(1)
OTHER_KEY = Keyring.parse(Keyring.generate())


def test_the_real_records_come_back_as_they_were(kit: Kit) -> None:
    kit.land(real_records())
    kit.publish(H0)
    assert restore(kit.lake, kit.catalog, H0) == real_records()


def test_records_go_to_the_hour_of_their_event(kit: Kit) -> None:
    receipt = kit.land([record(3599), record(3600), record(7200)])
    assert receipt.hours == [H0, H1, H0.plus(2)]
    assert (receipt.records, receipt.kept, receipt.rejected) == (3, 3, 0)
    assert receipt.id_ranges == ((3599, 3600), (7200, 7200))
    kit.publish(*receipt.hours)
    assert [kit.ids(hour) for hour in receipt.hours] == [[3599], [3600], [7200]]


def test_transform_again_changes_nothing(kit: Kit) -> None:
    window = kit.capture([record(1), record(2)])
    first = kit.transform(window)
    before = kit.keys("")
    assert kit.transform(window) == first
    assert kit.keys("") == before
    assert pending(kit.lake) == []


def test_equal_records_in_many_windows_are_one_row(kit: Kit) -> None:
    for start in (0, 50, 20):
        kit.land([record(number) for number in range(start, start + 100)])
    kit.publish(H0)
    assert kit.ids() == list(range(150))


def test_json_and_repr_make_the_same_generation(kit: Kit, tmp_path: Path) -> None:
    kit.land([record(1), record(2)])
    other = Kit(tmp_path / "other")
    other.transform(other.capture([record(2), record(1)], json.dumps))
    assert kit.publish(H0)[H0].partition.digest == other.publish(H0)[H0].partition.digest


def test_one_bad_token_takes_no_other_with_it_and_is_kept(kit: Kit) -> None:
    good = kit.keyring.encrypt(repr(record(1)).encode()).decode()
    tampered = good[:40] + ("A" if good[40] != "A" else "B") + good[41:]
    foreign = OTHER_KEY.encrypt(repr(record(2)).encode()).decode()
    window = put_window(
        kit.lake, envelope([(1, good), (2, tampered), (3, foreign), (4, 7), (5, "no token!"), (6, None)]), kit.now()
    )
    receipt = kit.transform(window)
    assert isinstance(receipt, Receipt)
    assert (receipt.records, receipt.kept, receipt.rejected) == (6, 1, 5)
    assert receipt.rejects == {str(Reason.KEY): 2, str(Reason.NO_TOKEN): 3}
    assert receipt.rejects_key is not None
    kept = lines.unpack(kit.lake.get(receipt.rejects_key), layout.digest_of(receipt.rejects_key), "rejects")
    assert [json.loads(line)["item"]["recordId"] for line in kept.splitlines()] == [2, 3, 4, 5, 6]
    assert json.loads(kept.splitlines()[0])["item"]["data"] == tampered


@pytest.mark.parametrize(
    ("content", "kept", "rejected"),
    [
        (b"<html>maintenance</html>", 0, 1),
        (b'{"error": "no"}', 0, 1),
        (b'"text"', 0, 1),
        (b"\xff\xfe\x00", 0, 1),
        (b"[" * 100_000, 0, 1),
        (b"[1, null, [], {}]", 0, 4),
    ],
)
def test_a_body_that_is_no_window_is_one_reject_and_kept(kit: Kit, content: bytes, kept: int, rejected: int) -> None:
    receipt = kit.transform(put_window(kit.lake, content, kit.now()))
    assert isinstance(receipt, Receipt)
    assert (receipt.kept, receipt.rejected) == (kept, rejected)
    assert audit.status(kit.lake, kit.catalog).rejected == rejected


def test_of_half_a_body_the_whole_records_are_kept(kit: Kit) -> None:
    whole = body(kit.keyring, [record(number) for number in range(10)])
    receipt = kit.transform(put_window(kit.lake, whole[: int(len(whole) * 0.75)], kit.now()))
    assert isinstance(receipt, Receipt)
    assert (receipt.kept, receipt.rejected) == (7, 1)
    assert receipt.id_ranges == ((0, 6),)


def test_json_a_line_is_read_and_a_bad_line_is_kept(kit: Kit) -> None:
    items = json.loads(body(kit.keyring, [record(1), record(2)]))
    content = "\n".join([json.dumps(items[0]), "{broken", json.dumps(items[1]), ""])
    receipt = kit.transform(put_window(kit.lake, content.encode(), kit.now()))
    assert isinstance(receipt, Receipt)
    assert (receipt.kept, receipt.rejected) == (2, 1)


def test_a_window_whose_every_record_fails_by_key_waits_for_the_right_key(kit: Kit) -> None:
    window = kit.capture([record(1), record(2)])
    assert kit.transform(window, OTHER_KEY) == WrongKey(window, 2)
    assert pending(kit.lake) == [window]
    assert kit.keys("rows") == []
    done = transform_all(kit.lake, OTHER_KEY, pending(kit.lake))
    assert "set the right key" in done.problems()[0]
    assert isinstance(kit.transform(window), Receipt)
    assert pending(kit.lake) == []


def test_requeue_reads_rejects_once_the_key_is_added(kit: Kit) -> None:
    items = json.loads(body(kit.keyring, [record(1)])) + json.loads(body(OTHER_KEY, [record(2)]))
    kit.transform(put_window(kit.lake, json.dumps(items).encode(), kit.now()))
    assert [receipt.rejected for receipt in with_rejects(kit.lake).found] == [1]
    transform_all(kit.lake, OTHER_KEY, [receipt.window for receipt in with_rejects(kit.lake).found])
    kit.publish(H0)
    assert kit.ids() == [1, 2]


def test_a_damaged_window_is_named_and_the_others_go_through(kit: Kit) -> None:
    windows = [kit.capture([record(number)]) for number in (1, 2)]
    path = kit.folder / "lake" / layout.raw_key(windows[0])
    path.write_bytes(path.read_bytes()[:-9])
    done = transform_all(kit.lake, kit.keyring, pending(kit.lake))
    assert list(done.failed) == [windows[0]]
    assert windows[0] in done.problems()[0]
    assert [receipt.id_ranges for receipt in done.receipts] == [((2, 2),)]
    assert pending(kit.lake) == [windows[0]]


@pytest.mark.parametrize("what", ["rows", "compact"])
def test_a_damaged_object_is_an_error_that_names_it_and_never_a_smaller_hour(kit: Kit, what: str) -> None:
    kit.land([record(1)])
    kit.publish(H0)
    before = kit.partition()
    kit.land([record(2)])
    key = next(key for key in kit.keys(what) if key not in kit.folded(H0) and "_manifest" not in key)
    path = kit.folder / "lake" / key
    path.write_bytes(lines.pack(b'{"record_id":9}\n').data)
    outcome = publish(kit.lake, kit.catalog, [H0], kit.now)[H0]
    assert isinstance(outcome, Damaged)
    assert key in str(outcome)
    assert kit.partition() == before


def test_a_bad_hour_leaves_the_others_done(kit: Kit) -> None:
    kit.land([record(1), record(3601), record(7201)])
    key = next(key for key in kit.keys("rows") if f"/{H1}/" in key)
    (kit.folder / "lake" / key).write_bytes(b"")
    outcome = publish(kit.lake, kit.catalog, [H0, H1, H0.plus(2)], kit.now)
    assert isinstance(outcome[H1], Damaged)
    assert isinstance(outcome[H0], Published)
    assert isinstance(outcome[H0.plus(2)], Published)


def test_no_new_file_writes_nothing_and_no_new_line_writes_a_manifest_only(kit: Kit) -> None:
    kit.land([record(1)])
    kit.publish(H0)
    before = kit.keys("")
    assert not kit.publish(H0)[H0].moved
    assert kit.keys("") == before
    receipt = kit.land([record(1)])
    done = kit.publish(H0)[H0]
    assert not done.moved
    added = [key for key in kit.keys("compact") if key not in before]
    assert len(added) == 1
    assert "_manifest-" in added[0]
    assert kit.folded(H0) >= set(receipt.rows)
    assert kit.stale(H0) == []


def test_an_hour_without_records_that_is_asked_for_is_published_empty(kit: Kit) -> None:
    done = kit.publish(H0)[H0]
    assert done.partition.summary.records == 0
    assert kit.records() == []
    assert kit.engine.run(f"SELECT count(*) AS n FROM logs WHERE hour = '{H0}'").table.to_pylist() == [{"n": 0}]
    kit.land([record(1)])
    assert kit.publish(H0)[H0].moved
    assert kit.ids() == [1]


def test_publishing_takes_what_was_compacted_before(kit: Kit) -> None:
    kit.land([record(1)])
    made = compact(kit.lake, kit.catalog, H0)
    assert kit.catalog.get([H0]) == {}
    before = kit.keys("")
    assert kit.publish(H0)[H0].partition.digest == made.generation.digest
    assert kit.keys("") == before


def test_an_older_generation_is_never_published_again(kit: Kit) -> None:
    kit.land([record(1)])
    kit.publish(H0)
    kit.land([record(2)])
    newest = kit.publish(H0)[H0].partition
    assert kit.publish(H0)[H0].partition == newest
    assert len({key.split("/")[2] for key in kit.keys("compact")}) == 2


def test_rows_before_the_first_record_of_the_calendar_are_kept(kit: Kit) -> None:
    receipt = kit.land([record(1, inDate="0001-01-01T00:00:00Z"), record(2, inDate="2023-03-10T01:00:00+02:00")])
    assert receipt.hours == [Hour("0001-01-01-00"), Hour("2023-03-09-23")]


def test_two_records_with_one_id_are_both_kept_and_counted(kit: Kit) -> None:
    kit.land([record(5), record(5, activity="other"), record(6)])
    kit.publish(H0)
    status = audit.status(kit.lake, kit.catalog)
    assert [(hour.records, hour.conflicts) for hour in status.hours] == [(3, 1)]


def test_a_restore_of_an_hour_that_is_not_published_says_what_to_do(kit: Kit) -> None:
    with pytest.raises(CatalogError, match="log-assets backfill --from 2023-03-10-01"):
        restore(kit.lake, kit.catalog, H0)


def test_restore_orders_by_id_and_puts_records_without_one_last(kit: Kit) -> None:
    odd = [
        record(3, record_id="x"),
        record(1),
        {"inDate": "2023-03-10T01:00:00Z"},
        record(2),
        record(4, record_id=True),
    ]
    kit.land(odd)
    kit.publish(H0)
    found = restore(kit.lake, kit.catalog, H0)
    assert [one["record_id"] for one in found[:2]] == [1, 2]
    assert len(found) == 5


def test_a_sound_hour_and_what_makes_it_unsound(kit: Kit) -> None:
    kit.land([record(1), record(2, extra={"a": 1.5}, User_Id="x")])
    kit.publish(H0)
    assert audit.soundness(kit.lake, kit.partition()).problems == []
    path = kit.folder / "lake" / layout.lines_key(H0, kit.partition().digest)
    path.write_bytes(path.read_bytes()[:-8] + b"12345678")
    assert "damaged" in audit.soundness(kit.lake, kit.partition()).problems[0]


def test_tidy_removes_what_is_folded_and_superseded_after_a_day_and_nothing_before(kit: Kit) -> None:
    for number in range(3):
        kit.land([record(number)])
        kit.publish(H0)
    kit.age(23)
    assert tidy(kit.lake, kit.catalog, kit.now()).rows == 0
    kit.age(25)
    done = tidy(kit.lake, kit.catalog, kit.now())
    assert (done.rows, done.generations, done.windows) == (3, 2, 0)
    assert kit.ids() == [0, 1, 2]
    assert len(kit.keys("raw")) == 3
    assert kit.stale(H0) == []
    # What was tidied away stays known: a late record unites with all of it.
    kit.land([record(3)])
    kit.publish(H0)
    assert kit.ids() == [0, 1, 2, 3]


def test_tidy_leaves_a_stale_hour_alone(kit: Kit) -> None:
    kit.land([record(1)])
    kit.publish(H0)
    kit.land([record(2)])
    kit.age(48)
    assert tidy(kit.lake, kit.catalog, kit.now()).rows == 0
    kit.publish(H0)
    assert kit.ids() == [1, 2]


def test_tidy_of_windows_keeps_those_without_receipt_and_those_with_rejects(kit: Kit) -> None:
    kit.land([record(1)])
    unread = kit.capture([record(2)])
    items = json.loads(body(kit.keyring, [record(3)])) + json.loads(body(OTHER_KEY, [record(4)]))
    mixed = put_window(kit.lake, json.dumps(items).encode(), kit.now())
    kit.transform(mixed)
    kit.age(24 * 40)
    stamp = datetime.now(UTC) - timedelta(days=40)
    assert stamp < datetime.now(UTC)
    done = tidy(kit.lake, kit.catalog, kit.now(), raw_days=30)
    assert done.windows == 1
    assert sorted(map(layout.window_of, kit.keys("raw"))) == sorted([unread, mixed])
    assert pending(kit.lake) == [unread]


def test_an_older_row_version_is_written_anew_and_duplicates_nothing(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    kit.land([record(1), record(2)])
    kit.publish(H0)
    monkeypatch.setattr(row, "ROW_VERSION", row.ROW_VERSION + 1)
    for window in {layout.window_of(key) for key in kit.keys("rows")}:
        kit.transform(window)
    assert len(kit.keys("rows")) == 2
    kit.publish(H0)
    assert kit.ids() == [1, 2]


def test_an_hour_of_a_version_with_fewer_columns_is_written_anew_and_duplicates_nothing(kit: Kit) -> None:
    older = kit.publish_older([record(1), record(2)], "name")
    assert kit.stale(H0) == []
    assert kit.records() == [record(1), record(2)]
    # One of them is captured again, and one is new.
    kit.land([record(2), record(3)])
    assert kit.publish(H0)[H0].moved
    assert kit.ids() == [1, 2, 3]
    assert kit.partition().summary.conflicts == 0
    assert older.digest != kit.partition().digest
    landed = kit.now()
    assert read_lines(kit.lake, H0, kit.partition().digest) == sorted(
        found.line for found in row.encode([record(1), record(2), record(3)], landed) if isinstance(found, row.Row)
    )


def test_an_hour_of_an_older_version_is_sound_as_that_wrote_it(kit: Kit) -> None:
    older = kit.publish_older([record(1), record(2)], "name")
    assert audit.soundness(kit.lake, older) == Soundness(2)
    # The same lines under today's version are not as it writes them.
    today = replace(older, summary=replace(older.summary, row_version=row.ROW_VERSION))
    (problem,) = audit.soundness(kit.lake, today).problems
    assert "2 rows not equal to their restored and shortened record" in problem


def test_a_generation_of_an_older_version_that_someone_deleted_is_made_again(kit: Kit) -> None:
    older = kit.publish_older([record(1), record(2)], "name")
    before = kit.lake.get(layout.lines_key(H0, older.digest))
    kit.lake.delete(kit.keys(f"compact/{H0}"))
    kit.publish(H0)
    assert kit.partition() == older
    assert lines.gunzip(kit.lake.get(layout.lines_key(H0, older.digest))) == lines.gunzip(before)


def test_a_newer_row_version_is_refused(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row, "ROW_VERSION", row.ROW_VERSION + 1)
    kit.land([record(1)])
    monkeypatch.undo()
    outcome = publish(kit.lake, kit.catalog, [H0], kit.now)[H0]
    assert isinstance(outcome, LakeError)
    assert "newer version" in str(outcome)


def test_manifests_tell_where_a_generation_came_from(kit: Kit) -> None:
    kit.land([record(1)])
    first = kit.publish(H0)[H0].partition
    kit.land([record(2, moment=BASE)])
    second = kit.publish(H0)[H0].partition
    (manifest,) = kit.manifests(H0)
    assert manifest.previous == first.digest
    assert manifest.summary == second.summary
    assert len(manifest.rows) == 2


@pytest.mark.parametrize("late", [False, True])
def test_a_partition_that_someone_dropped_comes_back_with_all_its_records(kit: Kit, late: bool) -> None:
    kit.land([record(1)])
    kit.publish(H0)
    kit.land([record(2)])
    kit.publish(H0)
    kit.age(30)
    assert tidy(kit.lake, kit.catalog, kit.now()).rows == 2
    (kit.folder / "catalog.db").unlink()
    kit.catalog.ensure()
    if late:
        kit.land([record(3)])
    compacted = compact(kit.lake, kit.catalog, H0)
    assert compacted.generation.summary.records == 2 + late
    assert isinstance(publish(kit.lake, kit.catalog, [H0], kit.now, {H0: compacted})[H0], Published)
    assert kit.ids() == [1, 2, 3][: 2 + late]


def test_a_generation_that_someone_deleted_is_made_again_though_rows_came_since(kit: Kit) -> None:
    kit.land([record(1), record(2)])
    before = kit.publish(H0)[H0].partition
    for key in kit.keys(f"compact/{H0}"):
        kit.lake.delete([key])
    kit.land([record(3)])
    kit.publish(H0)
    assert kit.ids() == [1, 2, 3]
    assert kit.lake.exists(layout.lines_key(H0, before.digest))


def test_of_two_generations_without_a_catalog_none_is_published_that_lacks_the_others_rows(kit: Kit) -> None:
    """Their rows are gone, so nothing else tells that the smaller one is not all there is."""
    hours = [H0.plus(number) for number in range(8)]
    for again in range(2):
        kit.land([record(3600 * number + again) for number in range(len(hours))])
        kit.publish(*hours)
    kit.lake.delete(kit.keys("rows"))
    (kit.folder / "catalog.db").unlink()
    kit.catalog.ensure()
    kit.publish(*hours)
    # In eight hours the smaller generation is now the first and now the last in order of digests.
    assert [kit.ids(hour) for hour in hours] == [[3600 * n, 3600 * n + 1] for n in range(len(hours))]


@pytest.mark.parametrize("part", ["logs.json.gz", "_manifest-"])
def test_what_a_tidy_takes_between_compaction_and_move_is_put_back(kit: Kit, part: str) -> None:
    class Tidied:
        """A catalog in which objects of an hour vanish just before its partition moves."""

        def __getattr__(self, name: str) -> Any:
            return getattr(kit.catalog, name)

        def move(self, moves: Sequence[Move]) -> Any:
            kit.lake.delete([key for key in kit.keys(f"compact/{H0}") if part in key])
            return kit.catalog.move(moves)

    kit.land([record(1)])
    outcome = publish(kit.lake, Tidied(), [H0], kit.now)[H0]
    assert isinstance(outcome, Published)
    assert kit.ids() == [1]
    assert kit.stale(H0) == []
