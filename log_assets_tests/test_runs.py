"""The sensor among other runs in one Dagster instance: those of other pipelines, and those of the command line."""

from __future__ import annotations

import os
import socket
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from log_assets.commands.backfill import backfill
from log_assets.defs import runs
from log_assets.defs.keys import FETCH_JOB, HOURS_JOB, LOGS_TABLE, RAW_LOGS, WORKER_TAG
from log_assets.defs.private import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from log_assets.hour import Hour
from log_assets.ports import Ports
from log_assets.settings import Settings
from log_assets.steps.pool import Pool
from log_assets_tests.kit import H0, record
from log_assets_tests.ui import running
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


def cancel(world: World, hours: list[Hour], **tags: str) -> dg.DagsterRun:
    """A run of these hours that somebody cancelled while it ran."""
    spans = {RANGE_START_TAG: hours[0], RANGE_END_TAG: hours[-1]}
    run = dg.DagsterRun(job_name=HOURS_JOB, status=dg.DagsterRunStatus.STARTED, tags={**spans, **tags})
    world.instance.add_run(run)
    world.instance.report_run_canceling(run)
    world.instance.report_run_canceled(run)
    return run


def asked_for(requests: list[dg.RunRequest]) -> list[Hour]:
    return [hour for request in requests for hour in runs.hours_of(request.tags, request.partition_key)]


def test_what_a_person_cancelled_waits_for_new_records_and_holds_no_other_hour(world: World) -> None:
    world.kit.land([record(0), record(3600), record(7200)])
    cancel(world, [H0, H0.plus(1)])
    requests, result = world.tick()
    assert asked_for(requests) == [H0.plus(2)]
    in_flight(world, HOURS_JOB, None, **{RANGE_START_TAG: H0.plus(2), RANGE_END_TAG: H0.plus(2)})
    requests, result = world.tick(result.cursor)
    assert requests == []
    assert f"cancelled, so left for a day, for new records or for you: {H0} to {H0.plus(1)}" in str(result.skip_reason)
    world.kit.land([record(1)])
    requests, _ = world.tick(result.cursor)
    assert asked_for(requests) == [H0]


LAUNCH = """mutation ($backfill: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfill) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
CANCEL = "mutation ($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"


def test_a_backfill_of_the_ui_that_was_cancelled_before_it_had_a_run_waits_too(world: World, tmp_path: Path) -> None:
    world.kit.land([record(0), record(3600), record(7200)])
    wanted = {"assetSelection": [{"path": ["logs_table"]}], "partitionNames": [H0, H0.plus(1)]}
    with running(tmp_path, os.environ, "web") as ui:
        backfill = ui.ask(LAUNCH, backfill=wanted)["launchPartitionBackfill"]["backfillId"]
        requests, _ = world.tick()
        assert asked_for(requests) == [H0.plus(2)]
        assert runs.cancelled(world.instance, datetime.now(UTC)) == {}
        ui.ask(CANCEL, id=backfill)
    requests, _ = world.tick()
    assert asked_for(requests) == [H0.plus(2)]
    now = datetime.now(UTC)
    assert set(runs.cancelled(world.instance, now)) == {H0, H0.plus(1)}
    # As the daemon ends it.
    (told,) = world.instance.get_backfills()
    ended = told.with_status(type(told.status).CANCELED).with_end_timestamp(now.timestamp())
    world.instance.update_backfill(ended)
    assert set(runs.cancelled(world.instance, now)) == {H0, H0.plus(1)}
    assert runs.cancelled(world.instance, now + runs.CANCELLED_WAITS) == {}


def test_what_a_person_cancelled_is_asked_for_again_after_a_day(world: World) -> None:
    cancel(world, [H0, H0.plus(1)])
    now = datetime.now(UTC)
    assert set(runs.cancelled(world.instance, now)) == {H0, H0.plus(1)}
    assert runs.cancelled(world.instance, now + runs.CANCELLED_WAITS) == {}


def test_a_run_of_the_sensors_that_was_cancelled_is_asked_for_under_another_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster uses no run key a second time; and a cancellation is no failure, of which there are only so many."""
    world.kit.land([record(0)])
    keys = set()
    for _ in range(4):
        (request,), result = world.tick()
        keys.add(request.run_key)
        monkeypatch.setattr(runs, "CANCELLED_WAITS", timedelta(days=1))
        cancel(world, [H0], **request.tags)
        assert world.tick(result.cursor)[0] == []
        monkeypatch.setattr(runs, "CANCELLED_WAITS", timedelta(0))
    assert len(keys) == 4


def test_a_run_that_is_executed_again_is_not_gone_with_the_process_of_the_first(world: World) -> None:
    """Dagster gives it the tags of the first."""
    gone = f"{socket.gethostname()} 999999999 1.0"
    of_others = [
        (dg.DagsterRunStatus.STARTING, f"{gone} {uuid.uuid4()}"),
        (dg.DagsterRunStatus.STARTED, f"{gone} {uuid.uuid4()}"),
        # As the version before wrote it.
        (dg.DagsterRunStatus.STARTING, gone),
    ]
    for number, (status, worker) in enumerate(of_others):
        tags = {PARTITION_TAG: H0.plus(number), WORKER_TAG: worker}
        world.instance.add_run(dg.DagsterRun(job_name=HOURS_JOB, status=status, tags=tags))
    assert runs.hours_in_flight(world.instance) == {H0, H0.plus(1), H0.plus(2)}


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED),
    ],
)
def test_a_run_whose_process_is_gone_holds_no_hour(
    world: World, status: dg.DagsterRunStatus, ended: dg.DagsterRunStatus
) -> None:
    run = dg.DagsterRun(job_name=HOURS_JOB, run_id=str(uuid.uuid4()), status=status)
    tags = {PARTITION_TAG: H0, WORKER_TAG: f"{socket.gethostname()} 999999999 1.0 {run.run_id}"}
    world.instance.add_run(run.with_tags(tags))
    assert runs.hours_in_flight(world.instance) == set()
    found = world.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is ended
