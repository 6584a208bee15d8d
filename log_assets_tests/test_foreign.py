"""Objects that are none of ours: whoever put them, they stop nothing, stay where they are, and doctor names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from log_assets.lake import layout, listing
from log_assets.records import lines
from log_assets.steps import audit
from log_assets.steps.capture import known_digests
from log_assets.steps.capture_report import capture_reports
from log_assets.steps.due import Cursor, find_stale
from log_assets.steps.receipts import pending
from log_assets.steps.tidy import tidy
from log_assets.steps.transform import transform_all
from log_assets_tests.kit import H0, Kit, body, record
from log_assets_tests.shell import Shell
from log_assets_tests.world import World

D = "0123456789abcdef" * 2
L = H0.plus(6)
W = f"20230310T070000001Z-{D}"
JUNK = lines.pack(b"junk\n")

FOREIGN = {
    "finder": f"raw/{L}/.DS_Store",
    "readme": f"raw/{L}/readme.txt",
    "no digest": f"raw/{L}/20230310T070000001Z.json.gz",
    "short digest": f"raw/{L}/{W[:-1]}.json.gz",
    "upper case": f"raw/{L}/{W[:20]}{D.upper()}.json.gz",
    "no date": f"raw/{L}/20231399T990000001Z-{D}.json.gz",
    "year 9999": f"raw/9999-12-31-23/99991231T230000001Z-{D}.json.gz",
    "another hour's": f"raw/{H0}/{W}.json.gz",
    "directly under raw": f"raw/{W}.json.gz",
    "a text under raw": "raw/x",
    "deeper": f"raw/{L}/more/{W}.json.gz",
    "no hour under raw": f"raw/2023-03-10/{W}.json.gz",
    "plain under raw": f"raw/{L}/{W}.json",
    "rows of no hour": f"rows/someone/{W}-v1-{D}.json.gz",
    "rows of an hour beyond the calendar": f"rows/2023-02-30-01/{W}-v1-{D}.json.gz",
    "rows of hour 24": f"rows/2023-03-10-24/{W}-v1-{D}.json.gz",
    "rows of the last hour": f"rows/9999-12-31-23/{W}-v1-{D}.json.gz",
    "rows of long after their window": f"rows/2023-05-10-01/{W}-v1-{D}.json.gz",
    "rows without version": f"rows/{H0}/{W}-{D}.json.gz",
    "rows without window": f"rows/{H0}/{D}-v1-{D}.json.gz",
    "directly under rows": "rows/x.json.gz",
    "alien receipt": f"receipts/{L}/x.json",
    "receipt of another hour": f"receipts/{H0}/{W}-{D}.json",
    "directly under receipts": "receipts/.keep",
    "alien reject": f"rejects/{L}/x.json.gz",
    "alien in a generation": f"compact/{H0}/{D}/part-0.json.gz",
    "alien beside generations": f"compact/{H0}/_SUCCESS",
    "compact of no hour": f"compact/tmp/{D}/logs.json.gz",
    "directly under compact": "compact/.spark-staging",
    "capture of no hour": "capture/x/y.json",
    "directly under capture": "capture/y.json",
}


def test_every_one_is_none_of_ours_and_every_one_of_ours_is() -> None:
    assert [what for what, key in FOREIGN.items() if layout.is_ours(key)] == []
    ours = [
        layout.raw_key(W),
        layout.rows_key(H0, W, 1, D),
        layout.rows_key("0001-01-01-00", W, 12, D),
        layout.rows_key(L.plus(25), W, 1, D),
        layout.rejects_key(W, D),
        layout.receipt_key(W, D),
        layout.lines_key(H0, D),
        layout.manifest_key(H0, D, D),
        layout.capture_key(L, "host.example-1-0f3a9c21"),
    ]
    assert [key for key in ours if not layout.is_ours(key)] == []


def put(home: Path, key: str) -> Path:
    path = home / "lake" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(JUNK.data)
    return path


@pytest.mark.parametrize("key", FOREIGN.values(), ids=list(FOREIGN))
def test_a_foreign_object_stops_no_step_and_stays(kit: Kit, key: str) -> None:
    path = put(kit.folder, key)
    kit.land([record(1)])
    kit.publish(H0)
    window = kit.capture([record(2), record(3601)])
    assert pending(kit.lake) == [window]
    assert not transform_all(kit.lake, kit.keyring, pending(kit.lake)).problems()
    search = find_stale(kit.lake, kit.catalog, Cursor(), kit.now())
    assert [one.hour for one in search.stale] == [H0, H0.plus(1)]
    assert search.problems == []
    # The second time by its cursor, and not by a sweep.
    assert find_stale(kit.lake, kit.catalog, search.cursor, kit.now()).stale == search.stale
    kit.publish(H0, H0.plus(1))
    assert (kit.ids(), kit.ids(H0.plus(1))) == ([1, 2], [3601])
    status = audit.status(kit.lake, kit.catalog)
    assert ([hour.records for hour in status.hours], status.problems, status.waiting) == ([2, 1], [], 0)
    assert len(known_digests(kit.lake)) == 2
    assert not capture_reports(kit.lake, kit.catalog, [H0, L], kit.clock)[L].unreadable
    kit.age(48)
    done = tidy(kit.lake, kit.catalog, kit.now(), raw_days=1)
    assert (done.rows, done.generations, done.windows) == (3, 1, 2)
    assert listing.foreign(kit.lake) == [key]
    assert path.read_bytes() == JUNK.data


def test_commands_go_on_among_all_of_them_and_doctor_names_them(shell: Shell) -> None:
    shell.use_folder()
    shell.done("init")
    for key in FOREIGN.values():
        put(Path(".log_assets"), key)
    (shell.source / "a.json").write_bytes(body(shell.keyring, [record(1), record(3600)]))
    assert "published 2023-03-10-01, 2023-03-10-02" in shell.done("poll", "--once")
    assert len(shell.done("restore", "--hour", H0).splitlines()) == 1
    assert json.loads(shell.done("query", "SELECT count(*) AS n FROM logs", "--format", "json")) == [{"n": 2}]
    shell.done("status")
    shell.done("requeue")
    shell.done("tidy", "--raw-days", "0")
    assert f"{len(FOREIGN)} objects are none of ours and are left alone: {min(FOREIGN.values())}" in shell.done(
        "doctor"
    )


def test_the_sensor_and_the_checks_go_on_among_all_of_them(world: World) -> None:
    kit = world.kit
    for key in FOREIGN.values():
        put(kit.folder, key)
    kit.capture([record(1)])
    requests, result = world.tick()
    assert [request.partition_key for request in requests] == [H0]
    assert world.run("publish_hours", [H0]).success
    assert {name: world.checks(name)[H0].passed for name in ("capture_had_no_hole", "hour_is_sound")} == {
        "capture_had_no_hole": True,
        "hour_is_sound": True,
    }
    again, _ = world.tick(result.cursor)
    assert again == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"null", b'{"polls": 1}', b"\xff", b"[" * 2000, b'{"lost_ids": 7}', b'{"polls": "many"}'],
    ids=lambda content: content[:20].decode(errors="replace") or "empty",
)
def test_a_capture_log_that_is_none_fails_its_hours_check_and_nothing_else(world: World, content: bytes) -> None:
    kit = world.kit
    kit.land([record(1), record(3601)])
    kit.lake.replace(layout.capture_key(H0, "host-1-bad"), content)
    assert world.run("publish_hours", [H0, H0.plus(1)]).success
    result = world.checks("capture_had_no_hole")
    assert not result[H0].passed
    assert layout.capture_key(H0, "host-1-bad") in str(result[H0].description)
    assert result[H0.plus(1)].passed


def test_odd_ids_in_a_capture_log_are_left_out(world: World) -> None:
    log = {"capturer": "x", "hour": H0, "polls": 1, "failures": 0, "windows": 1, "longest_gap_seconds": None}
    odd = [["a", 2], [5, 1], [1, 2**70], [True, 2], [7, 9], [None, None]]
    world.kit.lake.replace(
        layout.capture_key(H0, "host-1-odd"), json.dumps({**log, "spooled": [], "lost_ids": odd}).encode()
    )
    assert world.run("publish_hours", [H0]).success
    assert world.checks("capture_had_no_hole")[H0].metadata["ids_lost"].value == "7-9"


def test_what_is_no_receipt_under_a_right_digest_is_named_and_stops_nothing(shell: Shell) -> None:
    shell.use_folder()
    shell.done("init")
    (shell.source / "a.json").write_bytes(body(shell.keyring, [record(1)]))
    shell.done("poll", "--once")
    kit = Kit(shell.folder / ".log_assets")
    # A window with rejects, whose receipt someone made of something else.
    (shell.source / "b.json").write_text('[{"data": "no token"}]')
    shell.done("poll", "--once")
    (good,) = [key for key in kit.keys("receipts") if json.loads(kit.lake.get(key))["rejects_key"]]
    kit.lake.delete([good])
    content = b'{"window": "another"}'
    bad = layout.receipt_key(layout.window_of(good), lines.digest(content))
    kit.lake.put(bad, content)
    assert f"{bad} is no receipt: delete it" in shell.done("status")
    assert f"FAIL  objects: {bad} is no receipt" in shell.run("doctor").stdout
    assert bad in shell.failed("requeue")
    shell.done("tidy", "--raw-days", "0")
    # As the error says.
    kit.lake.delete([bad])
    assert "read 1 windows: 0 records, 1 rejected" in shell.done("poll", "--once")
