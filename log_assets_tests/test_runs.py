"""The sensor among other runs in one Dagster instance: those of other pipelines, and those of the command line."""

from __future__ import annotations

import os

import dagster as dg
import pytest
from rich.console import Console

from log_assets.commands.backfill import backfill
from log_assets.defs import runs
from log_assets.defs.keys import FETCH_JOB, HOURS_JOB, LOGS_TABLE, RAW_LOGS
from log_assets.defs.private import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from log_assets.hour import Hour
from log_assets.ports import Ports
from log_assets.settings import Settings
from log_assets.steps.pool import Pool
from log_assets_tests.kit import H0, record
from log_assets_tests.world import World

ALIEN = dg.AssetKey("someone_elses")


def in_flight(world: World, job: str, selection: set[dg.AssetKey] | None, **tags: str) -> None:
    run = dg.DagsterRun(
        job_name=job,
        status=dg.DagsterRunStatus.STARTED,
        tags={name.replace("__", "/"): value for name, value in tags.items()},
        asset_selection=frozenset(selection) if selection is not None else None,
    )
    world.instance.add_run(run)


@pytest.mark.parametrize("partition", ["2024-01-01", "2024-01-01-05:00", H0, "a|b", ""])
@pytest.mark.parametrize("selection", [{ALIEN}, None], ids=["assets", "job"])
def test_another_pipelines_run_stops_no_tick_and_holds_no_hour(
    world: World, partition: str, selection: set[dg.AssetKey] | None
) -> None:
    world.kit.land([record(0)])
    in_flight(world, "someone_elses_job", selection, **{PARTITION_TAG: partition})
    in_flight(world, "someone_elses_job", selection, **{RANGE_START_TAG: partition, RANGE_END_TAG: partition})
    requests, _ = world.tick()
    assert [request.partition_key for request in requests] == [H0]


def test_a_run_of_our_table_with_partitions_that_are_no_hours_stops_no_tick(world: World) -> None:
    world.kit.land([record(0)])
    in_flight(world, "__ASSET_JOB", {LOGS_TABLE}, **{PARTITION_TAG: "2024-01-01"})
    requests, _ = world.tick()
    assert [request.partition_key for request in requests] == [H0]


@pytest.mark.parametrize("job", [HOURS_JOB, FETCH_JOB])
@pytest.mark.parametrize("selection", [set[dg.AssetKey](), None], ids=["empty", "none"])
def test_a_run_of_our_jobs_that_selects_nothing_publishes_its_hours(
    world: World, job: str, selection: set[dg.AssetKey] | None
) -> None:
    world.kit.land([record(0), record(3600)])
    in_flight(world, job, selection, **{RANGE_START_TAG: H0, RANGE_END_TAG: H0})
    requests, _ = world.tick()
    assert [request.partition_key for request in requests] == [H0.plus(1)]


def test_a_run_that_publishes_nothing_holds_no_hour(world: World) -> None:
    world.kit.land([record(0)])
    in_flight(world, "__ASSET_JOB", {RAW_LOGS}, **{PARTITION_TAG: H0})
    requests, _ = world.tick()
    assert [request.partition_key for request in requests] == [H0]


def test_hours_of_a_backfill_from_the_command_line_are_in_flight_while_it_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the run itself finds them when it begins."""
    kit = world.kit
    kit.land([record(0), record(3600)])
    seen: list[set[Hour]] = []

    class Watched(Ports):
        def pool(self) -> Pool:
            seen.append(runs.hours_in_flight(world.instance))
            return super().pool()

    monkeypatch.setattr("log_assets.definitions.Ports", Watched)
    result = backfill(Ports(Settings.load()), H0, H0.plus(1), console=Console(file=open(os.devnull, "w")))  # noqa: SIM115
    assert result.failed == {}
    assert seen == [{H0, H0.plus(1)}]


@pytest.mark.parametrize("given", [{"settings": {"lake_url": "file:///tmp/x"}}, {"f_key": {"env": "f_key"}}, "x"])
def test_a_runs_configuration_overrides_no_resource(world: World, given: object) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="ports"):
        world.definitions().resolve_job_def(HOURS_JOB).execute_in_process(
            instance=world.instance, partition_key=H0, run_config={"resources": {"ports": {"config": given}}}
        )
