"""What is wrong in an account, and calls that fail: one clear line, and nothing that running again does not repair.

A proxy in front of moto gives the answers that S3 and Glue document where moto, which knows no regions, accounts or
expiry, would give another.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from log_assets.catalog import Move, Moved
from log_assets.catalog.table import TABLE
from log_assets.errors import CatalogError
from log_assets.ports import open_catalog
from log_assets_tests.account import FIRST, HANG_SECONDS, MOVED, Account
from log_assets_tests.aws_proxy import Call, Fault, Refusal
from log_assets_tests.kit import H0, partition, record

H1 = H0.plus(1)
SECOND = [record(number) for number in (*range(3, 9), *range(3600, 3604))]


def on(service: str, refusal: Refusal) -> Callable[[Call], Refusal | None]:
    return lambda call: refusal if call.service == service else None


REFUSED = {
    "a wrong region": (on("s3", MOVED), r"s3://.* lies in another region: set AWS_REGION"),
    "a region that signs wrongly": (
        on("s3", Refusal(400, "AuthorizationHeaderMalformed", "the region 'a' is wrong; expecting 'b'")),
        r"s3://.* lies in another region: set AWS_REGION",
    ),
    "a bucket of another account": (
        on("s3", Refusal(403, "AccessDenied", "Access Denied")),
        r"s3://.*AccessDenied.*may not, or it belongs to another account: deploy/",
    ),
    "expired credentials of S3": (on("s3", Refusal(400, "ExpiredToken")), r"s3://.*expired: sign in again"),
    "expired credentials of Glue": (on("glue", Refusal(400, "ExpiredTokenException")), r"glue://.*sign in again"),
    "unknown credentials": (on("s3", Refusal(403, "InvalidAccessKeyId")), r"s3://.*check the AWS credentials"),
    "a role that may not use Glue": (on("glue", Refusal(400, "AccessDeniedException")), r"glue://.*deploy/ has the"),
    "a key that may not be used": (
        on("s3", Refusal(403, "AccessDenied", "not authorized to perform: kms:GenerateDataKey with KMS key")),
        r"needs kms:GenerateDataKey",
    ),
    "throttling without an end": (on("s3", Refusal(503, "SlowDown")), r"s3://.*asked too often"),
    "throttling of Glue without an end": (on("glue", Refusal(400, "ThrottlingException")), r"glue://.*too often"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_an_account_refuses(account: Account, name: str) -> None:
    """One line that names the thing and its repair, at every command; once repaired, the same command goes through."""
    fault, said = REFUSED[name]
    account.done("init")
    account.show("1", FIRST)
    for command in (("status",), ("poll", "--once")):
        account.between.fault = fault
        output = account.failed(*command)
        assert re.search(said, output), output
        assert output.count("\n") == 1, output
        account.between.fault = lambda call: None
        account.done(*command)
    assert {hour: len(lines) for hour, (_, _, lines) in account.published().items()} == {H0: 5}


def test_a_missing_bucket(account: Account) -> None:
    account.set(LAKE_URL="s3://no-such-bucket-here/lake")
    result = account.run("doctor")
    assert result.exit_code == 1
    for output in (account.failed("status"), result.stdout):
        assert "no-such-bucket-here" in output
        assert "aws s3 mb" in output
        assert "Traceback" not in output


def test_throttling_on_every_third_call(account: Account) -> None:
    account.set(AWS_MAX_ATTEMPTS="4")
    calls = 0

    def every_third(_: Call) -> Fault | None:
        nonlocal calls
        calls += 1
        return Fault.THROTTLE if calls % 3 == 0 else None

    account.between.fault = every_third
    account.show("1", SECOND)
    account.done("poll", "--once")
    account.between.fault = lambda call: None
    assert {hour: len(lines) for hour, (_, _, lines) in account.published().items()} == {H0: 6, H1: 4}


def test_a_glue_table_that_someone_changed_by_hand(account: Account) -> None:
    account.show("1", FIRST)
    account.done("poll", "--once")
    client = boto3.client("glue")
    table: Any = client.get_table(DatabaseName=account.database, Name=TABLE)["Table"]
    table["StorageDescriptor"]["Columns"][1]["Type"] = "int"
    keep = ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
    changed: Any = {name: table[name] for name in keep}
    client.update_table(DatabaseName=account.database, TableInput=changed)
    account.show("2", SECOND)
    assert f"{account.database}.{TABLE} was changed by hand: its column record_id int" in account.failed(
        "poll", "--once"
    )
    account.done("init")
    account.done("poll", "--once")
    assert {hour: len(lines) for hour, (_, _, lines) in account.published().items()} == {H0: 9, H1: 4}


def test_a_partition_that_points_elsewhere(account: Account) -> None:
    account.show("1", FIRST)
    account.done("poll", "--once")
    client = boto3.client("glue")
    place: Any = {"DatabaseName": account.database, "TableName": TABLE}
    found: Any = client.get_partition(**place, PartitionValues=[H0])["Partition"]
    found["StorageDescriptor"]["Location"] = "s3://elsewhere/x/"
    entry: Any = {name: found[name] for name in ("Values", "StorageDescriptor", "Parameters")}
    client.update_partition(**place, PartitionValueList=[H0], PartitionInput=entry)
    account.show("2", SECOND)
    for command in (("poll", "--once"), ("status",), ("restore", "--hour", H0)):
        output = account.failed(*command)
        assert f"partition {H0} of {TABLE} was made to point at s3://elsewhere/x/" in output
        assert f"aws glue delete-partition --database-name {account.database}" in output
    client.delete_partition(**place, PartitionValues=[H0])
    account.done("poll", "--once")
    assert {hour: len(lines) for hour, (_, _, lines) in account.published().items()} == {H0: 9, H1: 4}


def test_a_generation_that_someone_deleted(account: Account) -> None:
    account.show("1", FIRST)
    account.done("poll", "--once")
    digest = account.published()[H0][0]
    account.lake.delete([entry.key for entry in account.lake.entries(f"compact/{H0}")])
    assert f"compact/{H0}/{digest}/logs.json.gz is not there" in account.failed("restore", "--hour", H0)
    account.done("poll", "--once")
    assert account.published()[H0][0] == digest
    account.show("2", SECOND)
    account.done("poll", "--once")
    assert {hour: len(lines) for hour, (_, _, lines) in account.published().items()} == {H0: 9, H1: 4}


def watched(account: Account) -> list[Call]:
    """The calls of a run that makes one hour anew and brings another up to date."""
    account.begin(FIRST)
    account.show("2", SECOND)
    account.done("poll", "--once")
    calls = list(account.between.calls)
    assert {call.name for call in calls} >= {
        "s3 PutObject",
        "s3 GetObject",
        "s3 ListObjectsV2",
        "glue GetTable",
        "glue BatchGetPartition",
        "glue BatchCreatePartition",
        "glue BatchUpdatePartition",
    }
    return calls


def disturbed(account: Account, fault: Fault, number: int, times: int | None) -> Call:
    """The same run, in which the `number`-th call fails so often, or always; gives the call."""
    account.begin(FIRST)
    hit: list[Call] = []

    def at(call: Call) -> Fault | None:
        first = len(account.between.calls) == number
        again = bool(hit) and call == hit[0] and (times is None or len(hit) < times)
        if first or again:
            hit.append(call)
            return fault
        return None

    account.show("2", SECOND)
    account.between.fault = at
    with pytest.MonkeyPatch.context() as patch:
        if fault is Fault.TIMEOUT:
            patch.setattr("log_assets.aws.READ_SECONDS", HANG_SECONDS - 0.5)
        result = account.run("poll", "--once")
    account.between.fault = lambda call: None
    assert hit, f"there was no call {number}: {len(account.between.calls)} calls, {result.output}"
    what = f"{fault} at call {number}, {hit[0]}: {result.output}"
    if times:
        assert result.exit_code == 0, what
    else:
        assert result.exit_code == 1, what
        assert result.output.strip().splitlines()[-1].startswith("Error: "), what
        assert "Traceback" not in result.output, what
        account.done("poll", "--once")
    return hit[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", Fault)
def test_every_call_of_an_hours_run_fails(account: Account, fault: Fault) -> None:
    """Each call in turn fails, and fails again, until the run gives up; the next run ends as an undisturbed one."""
    calls = watched(account)
    expected = account.published()
    assert {hour: len(lines) for hour, (_, _, lines) in expected.items()} == {H0: 9, H1: 4}
    for number in range(1, len(calls) + 1):
        call = disturbed(account, fault, number, None)
        assert account.published() == expected, f"{fault} at call {number}: {call}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", [Fault.THROTTLE, Fault.TIMEOUT, Fault.LOST])
def test_a_call_that_fails_once_is_not_noticed(account: Account, fault: Fault) -> None:
    calls = watched(account)
    expected = account.published()
    account.set(AWS_MAX_ATTEMPTS="3")
    for number in range(1, len(calls) + 1):
        call = disturbed(account, fault, number, 1)
        assert account.published() == expected, f"{fault} at call {number}: {call}"


def test_glue_that_refuses_partitions_for_the_moment_is_asked_again(
    account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "log_assets")
    monkeypatch.setattr("log_assets.catalog.glue._FIRST_WAIT", 0.01)
    account.done("init")
    catalog: Any = open_catalog(f"glue://{account.database}", account.lake.url)
    client = catalog._client
    refused = {"left": 2}

    class Refusing:
        """Glue, which refuses one partition of a batch twice."""

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def batch_create_partition(self, **call: Any) -> Any:
            entries = call["PartitionInputList"]
            bad = [one for one in entries if one["Values"] == [H1] and refused["left"]]
            refused["left"] -= bool(bad)
            answer = client.batch_create_partition(
                **{**call, "PartitionInputList": [one for one in entries if one not in bad]}
            )
            detail = {"ErrorCode": "InternalServiceException", "ErrorMessage": "oops"}
            return answer | {"Errors": [{"PartitionValues": one["Values"], "ErrorDetail": detail} for one in bad]}

    catalog._client = Refusing()
    moves = [Move(None, partition(hour, "a")) for hour in (H0, H1)]
    assert catalog.move(moves) == {H0: Moved.DONE, H1: Moved.DONE}
    waits = [record.args for record in caplog.records if "refused for the moment" in record.message]
    assert [args[0] for args in waits if isinstance(args, tuple)] == pytest.approx([0.01, 0.02])
    refused["left"] = 99
    outcome = catalog.move([Move(None, partition(H1, "b"))])[H1]
    assert isinstance(outcome, CatalogError)
    assert "InternalServiceException: oops" in str(outcome)
