"""Dagster, in process: what exists, what a run records, and what the sensor asks for."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from log_assets.definitions import build_defs
from log_assets.defs.keys import BY_TAG, COMPACT_LOGS, HOURS_JOB, LOGS_TABLE, RAW_LOGS, WORK_TAG
from log_assets.defs.private import RANGE_END_TAG, RANGE_START_TAG
from log_assets.defs.sensors import Rules
from log_assets.hour import Hour, hours_between
from log_assets.settings import Settings
from log_assets.steps.due import work_of
from log_assets.steps.receipts import pending
from log_assets_tests.kit import DATA, H0, Kit, body, record
from log_assets_tests.world import World

H1, H2 = H0.plus(1), H0.plus(2)
QUICK = Rules(refresh=timedelta(0), backoff=(timedelta(minutes=1),), attempts=2)


def graph() -> dict[str, Any]:
    """The shape of what Dagster is told, as plain data."""
    definitions = build_defs(rules=Rules(), settings=Settings.load())
    assets = {}
    for spec in definitions.resolve_all_asset_specs():
        assets[spec.key.to_user_string()] = {
            "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            "group": spec.group_name,
            "kinds": sorted(spec.kinds),
            "owners": list(spec.owners),
            "columns": [
                f"{column.name} {column.type}"
                for column in spec.metadata.get("dagster/column_schema", dg.TableSchema([])).columns
            ],
            "partitions": repr(spec.partitions_def).split("start=")[0].split("(")[0],
        }
    (made,) = [one for one in definitions.assets or []]
    assert isinstance(made, dg.AssetsDefinition)
    return {
        "assets": assets,
        "backfill_policy": repr(made.backfill_policy),
        "checks": sorted(f"{key.asset_key.to_user_string()}: {key.name}" for key in made.check_keys),
        "jobs": sorted(str(job.name) for job in definitions.jobs or []),
        "sensors": {
            sensor.name: {
                "every": sensor.minimum_interval_seconds,
                "default": sensor.default_status.value,
                "jobs": sorted(target.job_name for target in sensor.targets),
            }
            for sensor in definitions.sensors or []
            if isinstance(sensor, dg.SensorDefinition)
        },
        "schedules": len(list(definitions.schedules or [])),
    }


def test_the_asset_graph_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the graph's shape is seen in review: `UPDATE_SNAPSHOT=1 make test` writes it down."""
    monkeypatch.setenv("START_HOUR", H0)
    snapshot = DATA / "asset_graph.json"
    found = json.dumps(graph(), indent=2, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOT"):
        snapshot.write_text(found)
    assert snapshot.read_text() == found


def test_hours_begin_at_start_hour_and_the_one_in_progress_exists(world: World) -> None:
    made = build_defs().resolve_asset_graph().get(LOGS_TABLE).partitions_def
    assert made is not None
    keys = made.get_partition_keys()
    assert keys[0] == H0.plus(-5)
    assert keys[-1] == Hour.of(datetime.now(UTC))


def test_a_run_of_one_hour_records_metadata_and_checks_on_its_partition(world: World) -> None:
    kit = world.kit
    (world.source / "w.json").write_bytes(body(kit.keyring, [record(number) for number in (1, 2, 4, 5000)]))
    assert world.run("fetch_and_publish_hours", [H0]).success
    assert kit.ids() == [1, 2, 4]
    assert world.metadata(RAW_LOGS, H0)["windows"] == 1
    # The hour that came along is reported too.
    assert world.metadata(RAW_LOGS, H1)["records"] == 4
    compacted = world.metadata(COMPACT_LOGS, H0)
    assert compacted["dagster/row_count"] == 3
    assert compacted["gap_ranges"] == "3"
    assert compacted["bytes_out"] == kit.partition().summary.size
    assert kit.partition().digest in compacted["object"]
    assert compacted["preview"].records[0].data["activity"]
    assert H0 in world.metadata(LOGS_TABLE, H0)["sql"]
    results = {
        name: world.checks(name)[H0]
        for name in ("capture_had_no_hole", "every_record_was_read", "no_record_id_is_missing", "hour_is_sound")
    }
    assert {name: result.passed for name, result in results.items()} == {
        "capture_had_no_hole": True,
        "every_record_was_read": True,
        "no_record_id_is_missing": False,
        "hour_is_sound": True,
    }
    assert results["no_record_id_is_missing"].metadata["missing_ids"].value == "3"
    assert results["no_record_id_is_missing"].severity is dg.AssetCheckSeverity.WARN
    assert results["hour_is_sound"].metadata["rows_counted_by_the_query_engine"].value == 3
    assert results["hour_is_sound"].target_materialization_data is not None


def test_a_fetched_hour_that_is_materialized_again_tells_what_it_holds(world: World) -> None:
    (world.source / "w.json").write_bytes(body(world.kit.keyring, [record(number) for number in (1, 2, 4)]))
    assert world.run("fetch_and_publish_hours", [H0]).success
    assert "nothing_new" not in world.metadata(RAW_LOGS, H0)
    assert world.run("fetch_and_publish_hours", [H0]).success
    again = world.metadata(RAW_LOGS, H0)
    assert (again["windows"], again["records"], "nothing_new" in again) == (1, 3, True)


def test_the_sensor_tells_what_it_found_of_an_hour(world: World) -> None:
    world.kit.land([record(1), record(2)])
    world.kit.publish(H0)
    world.kit.land([record(3)])
    world.kit.land([record(4)])
    _, result = world.tick()
    (told,) = [one for one in result.asset_events if isinstance(one, dg.AssetMaterialization)]
    assert told.partition == H0
    found: dict[str, Any] = {name: value.value for name, value in told.metadata.items()}
    assert (found["new_windows"], found["records_published_before"]) == (2, 2)
    assert found["new_bytes"] > 0
    assert found["newest"] > 0


def test_a_range_with_a_damaged_hour_records_the_others_and_names_the_one(world: World) -> None:
    kit = world.kit
    kit.land([record(number * 3600) for number in range(5)])
    hours = list(hours_between(H0, H0.plus(4)))
    bad = kit.rows_keys(H2)[0]
    (kit.folder / "lake" / bad).write_bytes(b"damaged")
    result = world.run(HOURS_JOB, hours)
    assert not result.success
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    assert failure.step_failure_data.user_failure_data is not None
    description = str(failure.step_failure_data.user_failure_data.description)
    assert description.startswith("1 of 5 hours failed:\n2023-03-10-03: ")
    assert bad in description
    good = [hour for hour in hours if hour != H2]
    for asset in (COMPACT_LOGS, LOGS_TABLE):
        assert world.instance.get_materialized_partitions(asset) == set(good)
    for name in ("hour_is_sound", "no_record_id_is_missing", "every_record_was_read", "capture_had_no_hole"):
        assert sorted(world.checks(name)) == good
        assert all(world.checks(name)[hour].partition == hour for hour in good)
    assert [kit.partition(hour).summary.records for hour in good] == [1, 1, 1, 1]


def test_an_hour_for_which_nothing_came_materializes_with_no_records(world: World) -> None:
    assert world.run("fetch_and_publish_hours", [H0]).success
    assert world.metadata(RAW_LOGS, H0)["records"] == 0
    assert world.metadata(COMPACT_LOGS, H0)["dagster/row_count"] == 0
    assert world.checks("hour_is_sound")[H0].passed
    assert world.kit.partition().summary.records == 0


def test_a_source_that_fails_publishes_no_empty_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_URL", "http://127.0.0.1:9/logs?from={start}&to={end}")
    result = world.run("fetch_and_publish_hours", [H0])
    assert not result.success
    assert world.kit.catalog.get([H0]) == {}


def test_rejects_are_told_at_the_hours_of_their_window(world: World) -> None:
    kit = world.kit
    other = Kit(kit.folder / "other")
    items = json.loads(body(kit.keyring, [record(1)])) + json.loads(body(other.keyring, [record(2)]))
    (world.source / "w.json").write_text(json.dumps(items))
    world.run("fetch_and_publish_hours", [H0, H1])
    result = world.checks("every_record_was_read")[H0]
    assert not result.passed
    assert result.metadata["by_reason"].value == {"wrong key or tampered token": 1}
    assert "log-assets requeue" in str(result.description)
    assert world.checks("every_record_was_read")[H1].passed


def test_an_unsound_hour_is_an_error(world: World) -> None:
    kit = world.kit
    kit.land([record(1)])
    kit.publish(H0)
    path = next((kit.folder / "lake/compact").rglob("logs.json.gz"))
    path.write_bytes(path.read_bytes()[:-4])
    world.run(HOURS_JOB, [H0])
    result = world.checks("hour_is_sound")[H0]
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.ERROR
    assert "damaged" in str(result.description)


def test_secrets_are_in_no_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key = os.environ["f_key"]  # noqa: SIM112
    monkeypatch.setenv("SOURCE_URL", "https://user:hunter2@127.0.0.1:9/logs?from={start}&to={end}&token=hunter3")
    result = world.run("fetch_and_publish_hours", [H0])
    everything = repr([event for event in result.all_events]) + repr(world.instance.all_logs(result.run_id))
    assert "hunter" not in everything
    assert key not in everything


def test_the_sensor_reads_windows_and_asks_for_the_hours_that_are_stale(world: World) -> None:
    kit = world.kit
    for number in (0, 3600, 4 * 3600):
        kit.capture([record(number)])
    requests, result = world.tick()
    assert pending(kit.lake) == []
    assert [request.partition_key for request in requests if request.partition_key] == [H0.plus(4)]
    (span,) = [request.tags for request in requests if not request.partition_key]
    assert (span[RANGE_START_TAG], span[RANGE_END_TAG]) == (H0, H1)
    reported = [event for event in result.asset_events if isinstance(event, dg.AssetMaterialization)]
    assert {str(event.partition) for event in reported} == {H0, H1, H0.plus(4)}
    for request in requests:
        hours = [Hour(request.partition_key)] if request.partition_key else [H0, H1]
        assert world.run(HOURS_JOB, hours, dict(request.tags)).success
    again, result = world.tick(result.cursor)
    assert again == []
    assert "nothing new" in str(result.skip_reason)


def test_an_hour_in_flight_is_not_asked_for_again(world: World) -> None:
    world.kit.land([record(0), record(3600)])
    tags = {RANGE_START_TAG: H0, RANGE_END_TAG: H0}
    world.instance.add_run(
        dg.DagsterRun(
            job_name=HOURS_JOB,
            status=dg.DagsterRunStatus.STARTED,
            tags=tags,
            asset_selection={COMPACT_LOGS, LOGS_TABLE},
        )
    )
    requests, result = world.tick()
    assert [request.partition_key for request in requests] == [H1]
    # Still stale at the next tick, when the run is done.
    requests, _ = world.tick(result.cursor)
    assert [request.partition_key for request in requests] == [H1]


def test_a_run_whose_process_is_gone_is_marked_as_failed(world: World) -> None:
    world.kit.land([record(0)])
    tags = {"dagster/partition": H0, "log_assets/worker": f"{socket.gethostname()} 999999999 1.0"}
    run = dg.DagsterRun(job_name=HOURS_JOB, status=dg.DagsterRunStatus.STARTED, tags=tags, asset_selection={LOGS_TABLE})
    world.instance.add_run(run)
    requests, _ = world.tick()
    found = world.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.FAILURE
    assert [request.partition_key for request in requests] == [H0]


def test_failed_work_is_tried_a_bounded_number_of_times_with_backoff_and_blocks_no_other(world: World) -> None:
    kit = world.kit
    kit.land([record(0)])
    path = kit.folder / "lake" / kit.rows_keys(H0)[0]
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    (request,), result = world.tick()
    keys = {request.run_key}
    assert not world.run(HOURS_JOB, [H0], dict(request.tags)).success
    requests, result = world.tick(result.cursor)
    assert requests == []
    assert "tried again in a while" in str(result.skip_reason)

    world.definitions = lambda: build_defs(  # type: ignore[method-assign]
        rules=Rules(refresh=timedelta(0), attempts=2, backoff=(timedelta(0),))
    )
    kit.land([record(3600)])
    requests, result = world.tick(result.cursor)
    assert len(requests) == 1
    assert {requests[0].tags[RANGE_START_TAG], requests[0].tags[RANGE_END_TAG]} == {
        H0,
        H1,
    }
    keys.add(requests[0].run_key)
    assert not world.run(HOURS_JOB, [H0, H1], dict(requests[0].tags)).success
    assert kit.ids(H1) == [3600]
    requests, result = world.tick(result.cursor)
    assert requests == []
    assert f"{H0} failed 2 times and is left" in str(result.skip_reason)
    assert len(keys) == 2
    # New rows are new work.
    path.write_bytes(whole)
    kit.land([record(1)])
    (request,), _ = world.tick(result.cursor)
    assert request.partition_key == H0
    assert request.tags[WORK_TAG] == f"{H0}={work_of(kit.rows_keys(H0))}"
    assert request.tags[BY_TAG]


def test_hours_before_start_hour_wait_for_it_to_be_moved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.kit.land([record(0, inDate="2020-01-01T00:00:00Z"), record(1)])
    requests, result = world.tick()
    assert [request.partition_key for request in requests] == [H0]
    monkeypatch.setenv("START_HOUR", "2020-01-01-00")
    requests, _ = world.tick(result.cursor)
    assert sorted(str(request.partition_key) for request in requests) == ["2020-01-01-00", H0]


def test_windows_without_the_right_key_are_shouted_about_and_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.kit.capture([record(1)])
    monkeypatch.delenv("f_key")
    # The first tick asks for the daily tidy, and so has no reason for skipping to show.
    _, result = world.tick()
    _, result = world.tick(result.cursor)
    assert "1 windows wait: f_key is not set" in str(result.skip_reason)
    monkeypatch.setenv("f_key", "A" * 43 + "=")
    _, result = world.tick(result.cursor)
    assert "set the right key" in str(result.skip_reason)
    assert len(pending(world.kit.lake)) == 1


def test_a_lost_or_foreign_cursor_is_a_sweep(world: World) -> None:
    world.kit.land([record(0)])
    requests, result = world.tick("no cursor of ours")
    assert len(requests) == 1
    assert json.loads(str(result.cursor))["swept"]


def test_importing_the_definitions_does_nothing(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", "import log_assets.definitions"], check=True, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
