"""`log-assets init` and `doctor` on an AWS account: what each probe says, and what repairs what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from log_assets.catalog.table import TABLE
from log_assets.commands.doctor_aws import probes
from log_assets.errors import LogAssetsError
from log_assets.ports import open_catalog
from log_assets_tests.account import FIRST, MOVED, Account
from log_assets_tests.athena_server import AthenaServer, WorkGroup, athena
from log_assets_tests.aws_proxy import Call, Refusal
from log_assets_tests.kit import H0


@pytest.fixture
def workgroups(account: Account) -> Iterator[AthenaServer]:
    """Athena's API with a workgroup `logs`; nothing is queried, so no engine runs behind it."""
    with athena("trino://nobody@127.0.0.1:1/lake") as (server, endpoint):
        account.set(AWS_ENDPOINT_URL_ATHENA=endpoint)
        server.workgroups["logs"] = WorkGroup(f"s3://{account.bucket}/athena-results/")
        yield server


def probe(account: Account, what: str, query_url: str = "athena://logs") -> str:
    return probes(account.lake.url, f"glue://{account.database}", query_url)[what]()


def said(account: Account, what: str, query_url: str = "athena://logs") -> str:
    with pytest.raises(LogAssetsError) as caught:
        probe(account, what, query_url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refusing(*names: str, part: str = "", code: str = "AccessDenied") -> Callable[[Call], Refusal | None]:
    return lambda call: Refusal(403, code) if call.operation in names and part in call.key else None


def test_init_and_doctor_say_what_they_did_and_saw(account: Account) -> None:
    done = account.done("init")
    assert f"glue://{account.database}: made the database {account.database} and the table {TABLE}" in done
    assert "bucket, workgroup and roles are not made here: deploy/" in done
    shown = account.done("doctor")
    assert [line.split(": ")[0].removeprefix("ok").strip() for line in shown.splitlines()] == [
        "settings",
        "f_key",
        "source",
        "AWS region",
        "AWS identity",
        "bucket",
        "rights in the lake",
        "database",
        "lake",
        "objects",
        "capture",
        "catalog",
        "query engine",
        "dagster",
    ]
    assert "arn:aws:" in shown
    # Nothing is left of what it tried.
    assert [entry.key for entry in account.lake.entries("")] == ["lake.json"]


def test_init_repairs_the_table_and_says_what_it_was(account: Account) -> None:
    catalog = open_catalog(f"glue://{account.database}", account.lake.url)
    assert catalog.repair().startswith("made ")
    assert catalog.repair() == "as it should be"
    client = boto3.client("glue")
    keep = ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
    changes: dict[str, Callable[[Any], object]] = {
        "column method string": lambda t: t["StorageDescriptor"]["Columns"][3].update(Name="method", Type="string"),
        "SerDe": lambda t: t["StorageDescriptor"]["SerdeInfo"].update(SerializationLibrary="org.openx.data.JsonSerDe"),
        "input format": lambda t: t["StorageDescriptor"].update(InputFormat="x"),
        "partition projection": lambda t: t["Parameters"].update({"projection.enabled": "true"}),
        "order of columns": lambda t: t["StorageDescriptor"]["Columns"].reverse(),
    }
    for name, change in changes.items():
        table: Any = client.get_table(DatabaseName=account.database, Name=TABLE)["Table"]
        change(table)
        changed: Any = {part: table[part] for part in keep}
        client.update_table(DatabaseName=account.database, TableInput=changed)
        with pytest.raises(LogAssetsError, match=f"its {name} is not as athena_sql/tables says; run log-assets init"):
            catalog.ensure()
        assert catalog.repair() == f"repaired the table {TABLE}: its {name} was changed by hand"
        catalog.ensure()


def test_a_database_of_another_lake_is_refused(account: Account) -> None:
    open_catalog(f"glue://{account.database}", account.lake.url).ensure()
    with pytest.raises(LogAssetsError, match="a database of its own, so set CATALOG_URL to another"):
        open_catalog(f"glue://{account.database}", "s3://other/lake").ensure()


def test_no_region(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "set AWS_REGION" in said(account, "AWS region")
    assert "set AWS_REGION" in said(account, "database")


def test_expired_credentials(account: Account) -> None:
    account.between.fault = lambda call: Refusal(403, "ExpiredToken", "The security token … is expired")
    for what in ("AWS identity", "rights in the lake", "database"):
        assert "sign in again" in said(account, what)


def test_a_bucket_that_is_missing_elsewhere_or_anothers(account: Account) -> None:
    assert account.bucket in probe(account, "bucket")
    missing = probes("s3://no-such-bucket-here/x", "sqlite:///x", "duckdb://")["bucket"]
    with pytest.raises(LogAssetsError, match=r"aws s3 mb s3://no-such-bucket-here --region eu-central-1"):
        missing()
    account.between.fault = lambda call: MOVED
    assert "lies in us-west-2, and AWS_REGION is eu-central-1: set AWS_REGION=us-west-2" in said(account, "bucket")
    account.between.fault = refusing("HeadBucket")
    assert "belongs to another account, or the role lacks s3:ListBucket" in said(account, "bucket")


@pytest.mark.parametrize(
    ("operation", "part", "right"),
    [
        ("PutObject", "/compact/", "s3:PutObject on {arn}/compact/*"),
        ("HeadObject", "/raw/", "s3:GetObject on {arn}/raw/*"),
        ("DeleteObject", "/rows/", "s3:DeleteObject on {arn}/rows/*"),
        ("ListObjectsV2", "/receipts/", "s3:ListBucket on arn:aws:s3:::{bucket} for {prefix}/receipts/"),
    ],
)
def test_a_right_that_is_missing_is_named(account: Account, operation: str, part: str, right: str) -> None:
    assert "what the pipeline does" in probe(account, "rights in the lake")
    account.between.fault = refusing(operation, part=part)
    arn = account.lake.url.replace("s3://", "arn:aws:s3:::")
    prefix = account.lake.url.rsplit("/", 1)[1]
    wanted = right.format(arn=arn, bucket=account.bucket, prefix=prefix)
    assert f"the role lacks {wanted}: add that to it" in said(account, "rights in the lake")


def test_a_database_that_is_missing_or_closed(account: Account) -> None:
    assert "run log-assets init" in said(account, "database")
    message = "User: arn:aws:iam::1:user/x is not authorized to perform: glue:GetDatabase on resource: y"
    account.between.fault = lambda call: Refusal(400, "AccessDeniedException", message)
    assert "perform: glue:GetDatabase on resource: y: the role may not" in said(account, "database")


def test_a_workgroup(account: Account, workgroups: AthenaServer) -> None:
    assert "logs is enabled, Athena engine version 3, no limit" in probe(account, "workgroup")
    assert probe(account, "output location") == f"s3://{account.bucket}/athena-results/"
    assert "make the workgroup, as deploy/ does" in said(account, "workgroup", "athena://nope")
    account.between.fault = refusing("PutObject", part="athena-results/")
    assert f"s3:PutObject on arn:aws:s3:::{account.bucket}/athena-results/*" in said(account, "output location")
    workgroups.workgroups["logs"].state = "DISABLED"
    assert "aws athena update-work-group --work-group logs --state ENABLED" in said(account, "workgroup")
    workgroups.workgroups["logs"] = WorkGroup(None)
    assert "ResultConfigurationUpdates={OutputLocation=s3://bucket/athena-results/}" in said(account, "output location")
    workgroups.workgroups["logs"] = WorkGroup("s3://no-such-bucket-here/x/")
    assert "there is no bucket no-such-bucket-here" in said(account, "output location")


def test_doctor_finds_a_generation_that_is_gone(account: Account) -> None:
    account.show("1", FIRST)
    account.done("poll", "--once")
    account.lake.delete([entry.key for entry in account.lake.entries(f"compact/{H0}")])
    shown = account.run("doctor").stdout
    assert f"the objects of 1 of them are gone from {account.lake.url}, the first {H0}: log-assets backfill" in shown
