"""Missing ids: status, the asset check and the saved query agree on the exact ids."""

import json
from collections.abc import Iterable
from datetime import timedelta

from log_assets.defs import checks
from log_assets.hour import Hour
from log_assets.lake import layout
from log_assets.query.sql import saved_queries
from log_assets.records import ids
from log_assets.records.ids import Range
from log_assets.source import Body
from log_assets.source.demo import DemoRecords
from log_assets.steps import audit
from log_assets.steps.capture import capture_all
from log_assets.steps.pool import serial_pool
from log_assets.steps.receipts import pending
from log_assets.steps.transform import transform_all
from log_assets_tests.kit import H0, Kit, record
from log_assets_tests.world import World

HOURS = [H0.plus(number) for number in range(4)]


def by_query(kit: Kit) -> dict[str, list[Range]]:
    sql, parameters = saved_queries()["missing_record_ids"].bind({})
    found: dict[str, list[Range]] = {}
    for one in kit.engine.run(sql, parameters).table.to_pylist():
        found.setdefault(one["hour"], []).append((one["first_missing"], one["last_missing"]))
        assert one["missing"] == one["last_missing"] - one["first_missing"] + 1
    return found


def test_405_ids_dropped_one_gap_over_an_hours_edge_one_filled_late_and_one_reset(
    world: World,
) -> None:
    kit = world.kit
    plain = DemoRecords()
    start = plain.first_number(H0.start)
    edge = plain.first_number(HOURS[1].start)
    dropped: tuple[Range, ...] = (
        (start + 1000, start + 1199),  # within an hour: 200
        (edge - 40, edge + 59),  # over the edge of two hours: 100
        (edge + 5000, edge + 5104),  # 105, within the second hour
        (edge + 7000, edge + 7049),  # 50, of which all come late
    )
    reset = HOURS[2].start + timedelta(minutes=20)
    records = DemoRecords(dropped=dropped, reset=reset)
    numbers = records.numbers(H0.start, HOURS[3].end)
    for begin in range(0, len(numbers), 3000):
        capture_all(kit.lake, iter([_body(kit, records, numbers[begin : begin + 3000])]), kit.now)
    transform_all(kit.lake, kit.keyring, pending(kit.lake))
    assert not world.run("publish_hours", HOURS).filter_events(lambda event: event.is_step_failure)
    before = agreed(world)
    assert ids.count(pair for gaps in before.values() for pair in gaps) == 455

    # The late ones come in a window of their own.
    capture_all(kit.lake, iter([_body(kit, DemoRecords(reset=reset), range(*_span(dropped[3])))]), kit.now)
    transform_all(kit.lake, kit.keyring, pending(kit.lake))
    world.run("publish_hours", HOURS)
    found = agreed(world)
    assert found == {HOURS[0]: [dropped[0]], HOURS[1]: [dropped[1], dropped[2]]}
    assert ids.count(pair for gaps in found.values() for pair in gaps) == 405
    status = audit.status(kit.lake, kit.catalog)
    assert [(one.hour, one.after) for one in status.resets] == [(HOURS[2], 1)]
    check = world.checks("no_record_id_is_missing")[HOURS[2]]
    assert check.passed
    assert "→ 1" in str(check.metadata["resets"].value)


def _span(pair: Range) -> tuple[int, int]:
    return pair[0], pair[1] + 1


def _body(kit: Kit, records: DemoRecords, numbers: Iterable[int]) -> Body:
    return Body(records.body(kit.keyring, numbers), "demo")


def agreed(world: World) -> dict[str, list[Range]]:
    """What status, check and query say, which is the same."""
    kit = world.kit
    status = audit.status(kit.lake, kit.catalog)
    by_check = {
        hour: str(result.metadata["missing_ids"].value)
        for hour, result in world.checks("no_record_id_is_missing").items()
        if result.metadata["missing"].value
    }
    assert {hour: ids.write(gaps) for hour, gaps in status.missing.items()} == by_check
    assert by_query(kit) == status.missing
    assert status.missing_total == ids.count(pair for gaps in status.missing.values() for pair in gaps)
    assert {one.hour: one.missing for one in status.hours if one.missing} == {
        hour: ids.count(gaps) for hour, gaps in status.missing.items()
    }
    return {str(hour): gaps for hour, gaps in status.missing.items()}


def lost(kit: Kit, hours: Iterable[Hour]) -> None:
    """Every record of the demo's source but those of `hours`, of six hours."""
    plain = DemoRecords()
    for hour in (H0.plus(number) for number in range(6)):
        if hour not in hours:
            capture_all(kit.lake, iter([_body(kit, plain, plain.numbers(hour.start, hour.end))]), kit.now)
    transform_all(kit.lake, kit.keyring, pending(kit.lake))
    kit.publish(*(hour for hour in (H0.plus(number) for number in range(6)) if hour not in hours))


def test_hours_that_can_still_be_fetched_are_not_lost(kit: Kit) -> None:
    kit.clock = HOURS[3].plus(5).start
    lost(kit, [HOURS[1], HOURS[3], HOURS[3].plus(1)])
    number = DemoRecords().numbers
    status = audit.status(kit.lake, kit.catalog, keeps=True)
    first, second = status.not_fetched
    assert (status.missing, status.missing_total, status.resets) == ({}, 0, [])
    assert [one.missing for one in status.hours] == [0, 0, 0]
    size = len(number(HOURS[1].start, HOURS[1].end))
    assert first.said == (
        f"not fetched: {HOURS[1]} ({size:,} ids): log-assets backfill --from {HOURS[1]} --to {HOURS[1]}"
        " (of a folder: put their files there, then log-assets poll --once)"
    )
    assert second.spans == [(HOURS[3], HOURS[3].plus(1))]
    # Of a rolling source they are lost, and the capture logs would tell why.
    status = audit.status(kit.lake, kit.catalog)
    assert status.not_fetched == []
    assert list(status.missing) == [HOURS[2], HOURS[3].plus(2)]
    for captured, word in ((True, "records were lost"), (False, f"not fetched: {HOURS[1]} (")):
        (found,) = checks.evaluate(
            [checks.NO_IDS_MISSING],
            kit.lake,
            kit.catalog,
            lambda: kit.engine,
            [HOURS[2]],
            pool=serial_pool(),
            captured=captured,
        )
        assert word in found.description
        assert not found.passed


def test_an_outage_of_many_hours_is_no_reset_of_the_counter(kit: Kit) -> None:
    late = H0.plus(500)
    kit.clock = late.plus(5).start
    kit.land([record(1), record(2_000_000, late.start)])
    kit.publish(H0, late)
    assert [one.hour for one in audit.status(kit.lake, kit.catalog).resets] == [late]
    status = audit.status(kit.lake, kit.catalog, keeps=True)
    assert status.resets == []
    assert [(one.spans, one.ids) for one in status.not_fetched] == [([(H0.plus(1), late.plus(-1))], 1_999_998)]


def test_what_is_missing_within_an_hour_stays_missing(kit: Kit) -> None:
    kit.land([record(1), record(5), record(3601)])
    kit.publish(H0, H0.plus(1))
    status = audit.status(kit.lake, kit.catalog, keeps=True)
    assert status.not_fetched == []
    assert status.missing == {H0: [(2, 4)], H0.plus(1): [(6, 3600)]}


def test_a_loss_is_told_with_its_cause(kit: Kit) -> None:
    kit.clock = HOURS[3].start
    kit.land([record(1), record(3601), record(2 * 3600 + 1)])
    kit.publish(H0, HOURS[1], HOURS[2])
    for hour, first, last in ((H0, 0, 120), (HOURS[1], 600, 3595), (HOURS[2], 0, 3595)):
        times = [(hour.start + timedelta(seconds=seconds)).isoformat() for seconds in (first, last)]
        told = {"first_poll": times[0], "last_poll": times[1], "last_good": times[1], "capturer": "web-1", "hour": hour}
        counts = {"polls": 9, "failures": 0, "windows": 9, "longest_gap_seconds": 5, "spooled": [], "lost_ids": []}
        kit.lake.replace(layout.capture_key(hour, "web-1"), json.dumps(told | counts).encode())
    status = audit.status(kit.lake, kit.catalog)
    assert list(status.missing) == [HOURS[1], HOURS[2]]
    assert status.causes == {
        HOURS[1]: "no capture from 10 01:02 to 10 02:10 UTC",
        HOURS[2]: "no capture from 10 02:00 to 10 02:10 UTC",
    }


def test_a_wrong_clock_is_no_cause(kit: Kit) -> None:
    kit.clock = HOURS[3].start
    kit.land([record(10, HOURS[0].start), record(5, HOURS[1].start), record(6, HOURS[1].start)])
    kit.publish(HOURS[0], HOURS[1])
    for keeps in (True, False):
        status = audit.status(kit.lake, kit.catalog, keeps=keeps)
        assert (status.causes, status.not_fetched) == ({}, [])
