"""What a person asks of the checks: an hour that nobody captured is not green, and hours need not be chosen twice."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from log_assets.defs.checks import KEYS
from log_assets.defs.keys import CHECK_JOB, COMPACT_LOGS, FETCH_JOB, HOURS_JOB, LOGS_TABLE, RAW_LOGS
from log_assets.lake import layout
from log_assets_tests.kit import H0, body, record
from log_assets_tests.world import World

H1, H2 = H0.plus(1), H0.plus(2)
ALONE = {"asset_selection": [LOGS_TABLE]}


def verdict(world: World, hour: str) -> tuple[bool, dg.AssetCheckSeverity, str | None]:
    found = world.checks("hour_is_sound")[hour]
    return found.passed, found.severity, found.description


WARNED = (False, dg.AssetCheckSeverity.WARN, "0 rows: nothing was captured: materialize raw_logs too")


@pytest.mark.parametrize("hours", [[H0], [H0, H1, H2]], ids=["an hour", "a range"])
@pytest.mark.parametrize("selection", [{}, ALONE], ids=["the job", "logs_table alone"])
def test_an_hour_that_nobody_captured_is_not_green(world: World, hours: list[Any], selection: dict[str, Any]) -> None:
    if len(hours) > 1:
        world.kit.land([record(3601)])
    assert world.run(HOURS_JOB, hours, **selection).success
    for hour in hours:
        if hour == H1:
            assert verdict(world, hour)[0]
        else:
            assert verdict(world, hour) == WARNED
    # Once the source was asked, an empty hour is one in which nothing happened; also in later runs.
    assert world.run(FETCH_JOB, hours).success
    assert all(verdict(world, hour)[0] for hour in hours)
    assert world.run(HOURS_JOB, hours, **selection).success
    assert all(verdict(world, hour)[0] for hour in hours)


def test_an_empty_hour_in_which_a_capturer_ran_is_green(world: World) -> None:
    world.kit.lake.put(f"{layout.CAPTURE}/{H0}/one.json", b"{}")
    assert world.run(HOURS_JOB, [H0, H1]).success
    assert verdict(world, H0)[0]
    assert verdict(world, H1) == WARNED


@pytest.mark.parametrize("job", [HOURS_JOB, FETCH_JOB])
def test_a_run_without_a_partition_says_so_in_one_sentence(world: World, job: str) -> None:
    result = world.run(job, [])
    assert not result.success
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    assert str(data.description).startswith("no hours were chosen: launch it with a partition")
    assert not world.materializations(LOGS_TABLE)


def test_checks_without_a_partition_are_of_the_hours_that_were_materialized_last(world: World) -> None:
    assert world.run(CHECK_JOB, []).success
    world.kit.land([record(1), record(3601)])
    assert world.run(HOURS_JOB, [H0, H1]).success
    (world.kit.folder / "lake" / layout.lines_key(H0, world.kit.partition().digest)).write_bytes(b"damaged")
    assert world.run(CHECK_JOB, []).success
    assert "damaged" in str(verdict(world, H0)[2]) or not verdict(world, H0)[0]
    for key in KEYS:
        assert set(world.checks(key.name)) == {H0, H1}


@pytest.mark.parametrize("hours", [[H0], [H0, H1]], ids=["an hour", "a range"])
def test_chosen_hours_are_checked_again_and_nothing_is_made(world: World, hours: list[Any]) -> None:
    (world.source / "w.json").write_bytes(body(world.kit.keyring, [record(1), record(3601), record(7201)]))
    assert world.run(FETCH_JOB, [H0, H1, H2]).success
    before = {asset: len(world.materializations(asset)) for asset in (RAW_LOGS, COMPACT_LOGS, LOGS_TABLE)}
    for hour in hours:
        (world.kit.folder / "lake" / layout.lines_key(hour, world.kit.partition(hour).digest)).write_bytes(b"damaged")
    assert world.run(CHECK_JOB, hours).success
    assert [hour for hour in (H0, H1, H2) if not verdict(world, hour)[0]] == hours
    assert {asset: len(world.materializations(asset)) for asset in before} == before
