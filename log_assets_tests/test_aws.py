"""The pipeline on S3 and Glue, whose APIs moto's server speaks: the same generations, and clear errors."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from log_assets.catalog import Move, Moved
from log_assets.catalog.glue import GlueCatalog, open_glue
from log_assets.catalog.table import TABLE, columns
from log_assets.errors import CatalogError, LogAssetsError
from log_assets.steps import audit
from log_assets.steps.publish import Published, publish
from log_assets.steps.restore import restore
from log_assets.steps.tidy import tidy
from log_assets_tests.kit import H0, Kit, partition, real_records, record

H1 = H0.plus(1)


def glue(cloud: Kit) -> tuple[Any, str]:
    return boto3.client("glue"), cloud.catalog.url.removeprefix("glue://")


class Interrupted:
    """Glue's client, with something done before or instead of one of its calls."""

    def __init__(self, inner: Any, **calls: Callable[..., Any]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        return self._calls.get(name) or getattr(self._inner, name)


def interrupted(cloud: Kit, **calls: Callable[..., Any]) -> GlueCatalog:
    client, database = glue(cloud)
    return GlueCatalog(Interrupted(client, **calls), database, f"{cloud.lake.url}/compact/")  # type: ignore[arg-type]


def test_the_generations_are_those_of_the_embedded_default(cloud: Kit, tmp_path: Path) -> None:
    local = Kit(tmp_path / "local", cloud.keyring)
    for one in (cloud, local):
        one.land(real_records()[:30])
        one.publish(H0)
        one.land(real_records()[10:])
        one.land([record(3601), record(1, extra={"a": 1e16}, activity=None)])
        one.publish(H0, H1, H1.plus(1))
    there, here = list(cloud.catalog.partitions()), list(local.catalog.partitions())
    assert [(p.hour, p.digest, p.summary) for p in there] == [(p.hour, p.digest, p.summary) for p in here]
    assert audit.status(cloud.lake, cloud.catalog) == audit.status(local.lake, local.catalog)
    assert restore(cloud.lake, cloud.catalog, H0) == restore(local.lake, local.catalog, H0)
    assert audit.soundness(cloud.lake, cloud.partition()).problems == []


def test_tidy_needs_a_day_of_the_stores_own_clock(cloud: Kit) -> None:
    cloud.land([record(1)])
    cloud.publish(H0)
    cloud.clock = cloud.clock.replace(year=2090)
    assert tidy(cloud.lake, cloud.catalog, cloud.now()).rows == 0
    assert cloud.ids() == [1]


def test_the_glue_table_is_the_ddls(cloud: Kit) -> None:
    client, database = glue(cloud)
    table = client.get_table(DatabaseName=database, Name=TABLE)["Table"]
    descriptor = table["StorageDescriptor"]
    assert [(c["Name"], c["Type"], c["Comment"]) for c in descriptor["Columns"]] == [
        (column.name, column.hive_type, column.comment) for column in columns()
    ]
    comment = "UTC hour of the event, like 2023-03-10-01"
    assert table["PartitionKeys"] == [{"Name": "hour", "Type": "string", "Comment": comment}]
    assert descriptor["SerdeInfo"]["SerializationLibrary"] == "org.apache.hive.hcatalog.data.JsonSerDe"
    assert descriptor["Location"] == f"{cloud.lake.url}/compact/"


def test_the_tables_location_is_a_folder_whatever_else_the_lakes_url_says(aws: str) -> None:
    database = f"logs_{uuid.uuid4().hex}"
    open_glue(f"glue://{database}", f"s3://{aws}/lake?kms_key=alias/logs").ensure()
    table = boto3.client("glue").get_table(DatabaseName=database, Name=TABLE)["Table"]
    assert table["StorageDescriptor"]["Location"] == f"s3://{aws}/lake/compact/"


def test_a_table_that_someone_changed_is_named_and_repaired_by_init(cloud: Kit) -> None:
    client, database = glue(cloud)
    cloud.land([record(1)])
    cloud.publish(H0)
    changed: list[Callable[[list[dict[str, str]]], Any]] = [
        lambda found: found[1].update(Type="int"),
        lambda found: found.pop(2),
        lambda found: found.append({"Name": "more", "Type": "string"}),
    ]
    for change in changed:
        table = client.get_table(DatabaseName=database, Name=TABLE)["Table"]
        change(table["StorageDescriptor"]["Columns"])
        keep = ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
        client.update_table(DatabaseName=database, TableInput={name: table[name] for name in keep})
        with pytest.raises(CatalogError, match=r"was changed by hand: its column .* run log-assets init"):
            cloud.catalog.ensure()
        cloud.catalog.repair()
        cloud.catalog.ensure()
    assert cloud.ids() == [1]


def make_older(cloud: Kit) -> None:
    """Let table and partitions be those of a version of this program that lacked the last column."""
    client, database = glue(cloud)
    table = client.get_table(DatabaseName=database, Name=TABLE)["Table"]
    table["StorageDescriptor"]["Columns"].pop()
    keep = ("Name", "Description", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
    client.update_table(DatabaseName=database, TableInput={name: table[name] for name in keep})
    make_partitions_older(cloud)


def make_partitions_older(cloud: Kit) -> None:
    client, database = glue(cloud)
    entries = []
    for found in (
        client.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=TABLE).search("Partitions")
    ):
        found["StorageDescriptor"]["Columns"].pop()
        partition_input = {name: found[name] for name in ("Values", "StorageDescriptor", "Parameters")}
        entries.append({"PartitionValueList": found["Values"], "PartitionInput": partition_input})
    for start in range(0, len(entries), 100):
        some = entries[start : start + 100]
        assert not client.batch_update_partition(DatabaseName=database, TableName=TABLE, Entries=some).get("Errors")


def described(cloud: Kit) -> dict[str, Any]:
    """What Glue has of the table and of each partition."""
    client, database = glue(cloud)
    pages = client.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=TABLE)
    everything = [client.get_table(DatabaseName=database, Name=TABLE)["Table"], *pages.search("Partitions")]
    keep = ("StorageDescriptor", "Parameters", "PartitionKeys")
    return {str(one.get("Values", TABLE)): {name: one.get(name) for name in keep} for one in everything}


LACKS = f"column {columns()[-1].name} {columns()[-1].hive_type}"


def test_a_table_of_an_older_version_is_named_and_brought_up_to_date_by_init(cloud: Kit) -> None:
    cloud.land([record(1), record(3601, more="extra")])
    cloud.publish(H0, H1)
    today = described(cloud)
    make_older(cloud)
    assert [len(one["StorageDescriptor"]["Columns"]) for one in described(cloud).values()] == [len(columns()) - 1] * 3
    said = f"is of an older version of this program: it lacks {LACKS}; run log-assets init, which brings it"
    with pytest.raises(CatalogError, match=said):
        cloud.catalog.ensure()
    assert cloud.catalog.repair() == f"brought the table {TABLE} and its partitions up to date: they lacked {LACKS}"
    assert described(cloud) == today
    cloud.catalog.ensure()
    assert cloud.catalog.repair() == "as it should be"


def test_partitions_of_an_older_version_under_a_table_of_today_are_brought_up_to_date(cloud: Kit) -> None:
    """So it is when CloudFormation was first to change the table."""
    cloud.land([record(1), record(3601)])
    cloud.publish(H0, H1)
    today = described(cloud)
    make_partitions_older(cloud)
    assert cloud.catalog.repair() == f"gave 2 partitions of {TABLE} the columns that it has"
    assert described(cloud) == today
    assert cloud.catalog.repair() == "as it should be"


def test_the_table_of_another_lake_is_never_brought_up_to_date(cloud: Kit, aws: str) -> None:
    cloud.land([record(1)])
    cloud.publish(H0)
    make_older(cloud)
    older = described(cloud)
    with pytest.raises(CatalogError, match=rf"lies at {cloud.lake.url}/compact/, and LAKE_URL at s3://{aws}/another"):
        open_glue(cloud.catalog.url, f"s3://{aws}/another").repair()
    assert described(cloud) == older


def test_a_partition_that_a_publisher_moves_meanwhile_is_not_set_back(cloud: Kit) -> None:
    client, _ = glue(cloud)
    cloud.catalog.move([Move(None, partition(hour, "a")) for hour in (H0, H1)])
    make_older(cloud)

    def get(**call: Any) -> Any:
        cloud.catalog.move([Move("a", partition(H0, "b"))])
        return client.batch_get_partition(**call)

    interrupted(cloud, batch_get_partition=get).repair()
    assert {hour: found.digest for hour, found in cloud.catalog.get([H0, H1]).items()} == {H0: "b", H1: "a"}
    assert {len(one["StorageDescriptor"]["Columns"]) for one in described(cloud).values()} == {len(columns())}


def test_a_publication_between_the_last_look_and_the_update_is_set_back_and_comes_again(cloud: Kit) -> None:
    """Glue has no compare and set: the hour is stale then, and nothing is lost."""
    client, _ = glue(cloud)
    cloud.land([record(1)])
    cloud.publish(H0)
    make_older(cloud)

    def update(**call: Any) -> Any:
        cloud.land([record(2)])
        cloud.publish(H0)
        assert cloud.ids() == [1, 2]
        return client.batch_update_partition(**call)

    interrupted(cloud, batch_update_partition=update).repair()
    assert cloud.ids() == [1]
    assert cloud.stale(H0) == [H0]
    cloud.publish(H0)
    assert cloud.ids() == [1, 2]


class Killed(BaseException):
    """The end of the process, wherever it is."""


def test_a_repair_that_is_killed_is_ended_by_the_next_one(cloud: Kit) -> None:
    client, _ = glue(cloud)
    hours = [H0.plus(number) for number in range(250)]
    cloud.catalog.move([Move(None, partition(hour, "a")) for hour in hours])
    today = described(cloud)
    make_older(cloud)
    left = 1
    updates: list[int] = []

    def update(**call: Any) -> Any:
        if len(updates) == left:
            raise Killed
        updates.append(len(call["Entries"]))
        return client.batch_update_partition(**call)

    def update_table(**call: Any) -> Any:
        raise Killed

    for done, expected in ((1, [100]), (9, [100, 50]), (9, [])):
        left = done
        updates.clear()
        with pytest.raises(Killed):
            interrupted(cloud, batch_update_partition=update, update_table=update_table).repair()
        assert updates == expected
        with pytest.raises(CatalogError, match="is of an older version of this program"):
            cloud.catalog.ensure()
    cloud.catalog.repair()
    assert described(cloud) == today


def test_250_partitions_take_3_calls(cloud: Kit) -> None:
    client, _ = glue(cloud)
    hours = [H0.plus(number) for number in range(250)]
    cloud.catalog.move([Move(None, partition(hour, "a")) for hour in hours])
    today = described(cloud)
    make_older(cloud)
    updates: list[int] = []

    def update(**call: Any) -> Any:
        updates.append(len(call["Entries"]))
        return client.batch_update_partition(**call)

    interrupted(cloud, batch_update_partition=update).repair()
    assert updates == [100, 100, 50]
    assert described(cloud) == today


def test_a_partition_that_is_refused_leaves_the_table_to_the_next_repair(cloud: Kit) -> None:
    client, _ = glue(cloud)
    cloud.catalog.move([Move(None, partition(hour, "a")) for hour in (H0, H1)])
    today = described(cloud)
    make_older(cloud)

    def update(**call: Any) -> Any:
        refused = [one for one in call["Entries"] if one["PartitionValueList"] == [H1]]
        answer = client.batch_update_partition(**{**call, "Entries": [e for e in call["Entries"] if e not in refused]})
        detail = {"ErrorCode": "InvalidInputException", "ErrorMessage": "oops"}
        return answer | {"Errors": [{"PartitionValueList": [H1], "ErrorDetail": detail} for _ in refused]}

    with pytest.raises(CatalogError, match=f"partition {H1} was refused .InvalidInputException: oops"):
        interrupted(cloud, batch_update_partition=update).repair()
    with pytest.raises(CatalogError, match="is of an older version of this program"):
        cloud.catalog.ensure()
    cloud.catalog.repair()
    assert described(cloud) == today


def test_a_partition_that_points_elsewhere_is_named(cloud: Kit) -> None:
    client, database = glue(cloud)
    cloud.land([record(1)])
    cloud.publish(H0)
    found = client.get_partition(DatabaseName=database, TableName=TABLE, PartitionValues=[H0])["Partition"]
    found["StorageDescriptor"]["Location"] = "s3://elsewhere/x/"
    keep = ("Values", "StorageDescriptor", "Parameters")
    entry = {name: found[name] for name in keep}
    client.update_partition(DatabaseName=database, TableName=TABLE, PartitionValueList=[H0], PartitionInput=entry)
    with pytest.raises(CatalogError, match=r"made to point at s3://elsewhere/x/"):
        cloud.catalog.get([H0])
    client.delete_partition(DatabaseName=database, TableName=TABLE, PartitionValues=[H0])
    cloud.publish(H0)
    assert cloud.ids() == [1]


def test_a_partition_of_a_crawler_is_named(cloud: Kit) -> None:
    client, database = glue(cloud)
    client.create_partition(
        DatabaseName=database,
        TableName=TABLE,
        PartitionInput={"Values": [H0], "StorageDescriptor": {"Location": "s3://x/y/"}, "Parameters": {}},
    )
    with pytest.raises(CatalogError, match="was not made by this program"):
        cloud.catalog.get([H0])


def test_a_database_that_is_gone_says_what_to_run(cloud: Kit) -> None:
    client, database = glue(cloud)
    client.delete_table(DatabaseName=database, Name=TABLE)
    with pytest.raises(CatalogError, match="run log-assets init"):
        list(cloud.catalog.partitions())
    cloud.catalog.ensure()
    assert list(cloud.catalog.partitions()) == []


def test_an_update_that_another_one_follows_at_once_is_a_conflict(cloud: Kit) -> None:
    client, _ = glue(cloud)
    cloud.catalog.move([Move(None, partition(H0, "a"))])

    def update(**call: Any) -> Any:
        answer = client.batch_update_partition(**call)
        assert cloud.catalog.move([Move("b", partition(H0, "c"))]) == {H0: Moved.DONE}
        return answer

    catalog = interrupted(cloud, batch_update_partition=update)
    assert catalog.move([Move("a", partition(H0, "b"))]) == {H0: Moved.CONFLICT}
    assert cloud.catalog.get([H0])[H0].digest == "c"


def test_a_partition_that_fails_leaves_the_others_done_and_a_rerun_repairs_it(
    cloud: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("log_assets.catalog.glue._FIRST_WAIT", 0)
    client, _ = glue(cloud)
    cloud.land([record(1), record(3601)])

    def create(**call: Any) -> Any:
        refused = [one for one in call["PartitionInputList"] if one["Values"] == [H1]]
        kept = [one for one in call["PartitionInputList"] if one not in refused]
        answer = client.batch_create_partition(**{**call, "PartitionInputList": kept})
        detail = {"ErrorCode": "InternalServiceException", "ErrorMessage": "oops"}
        return answer | {"Errors": [{"PartitionValues": one["Values"], "ErrorDetail": detail} for one in refused]}

    outcome = publish(cloud.lake, interrupted(cloud, batch_create_partition=create), [H0, H1], cloud.now)
    assert isinstance(outcome[H0], Published)
    assert isinstance(outcome[H1], LogAssetsError)
    assert "InternalServiceException: oops" in str(outcome[H1])
    cloud.publish(H0, H1)
    assert (cloud.ids(H0), cloud.ids(H1)) == ([1], [3601])


def test_many_hours_take_few_calls(cloud: Kit) -> None:
    client, _ = glue(cloud)
    calls: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            calls.append(name)
            return getattr(client, name)(**arguments)

        return call

    names = ("batch_create_partition", "batch_update_partition")
    catalog = interrupted(cloud, **{name: counted(name) for name in names})
    hours = [H0.plus(number) for number in range(720)]
    assert set(catalog.move([Move(None, partition(hour, "a")) for hour in hours]).values()) == {Moved.DONE}
    assert len(calls) == 8


def test_no_region_is_one_clear_error(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(CatalogError, match="check the AWS credentials and region"):
        open_glue("glue://logs", "s3://bucket")


def test_more_id_ranges_than_a_parameter_holds_are_read_from_the_manifest(
    cloud: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("log_assets.catalog.glue_table.RANGES_KEPT", 3)
    cloud.land([record(number) for number in range(0, 40, 2)])
    cloud.publish(H0)
    summary = cloud.partition().summary
    assert not summary.ids_complete
    assert (summary.first_record_id, summary.last_record_id) == (0, 38)
    assert audit.status(cloud.lake, cloud.catalog).missing_total == 19
    # Nor does a manifest lose them that tells of rows without a new line, or of a generation that was made again.
    cloud.land([record(0), record(2)])
    assert not cloud.publish(H0)[H0].moved
    assert all(manifest.summary.ids_complete for manifest in cloud.manifests())
    cloud.lake.delete(cloud.keys(f"compact/{H0}"))
    cloud.land([record(4)])
    cloud.publish(H0)
    assert all(manifest.summary.ids_complete for manifest in cloud.manifests())
    assert audit.status(cloud.lake, cloud.catalog).missing_total == 19
