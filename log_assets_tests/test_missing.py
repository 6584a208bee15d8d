"""Missing ids: status, the asset check and the saved query agree on the exact ids."""

from collections.abc import Iterable
from datetime import timedelta

from log_assets.query.sql import saved_queries
from log_assets.records import ids
from log_assets.records.ids import Range
from log_assets.source import Body
from log_assets.source.demo import DemoRecords
from log_assets.steps import audit
from log_assets.steps.capture import capture_all
from log_assets.steps.receipts import pending
from log_assets.steps.transform import transform_all
from log_assets_tests.kit import H0, Kit
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
