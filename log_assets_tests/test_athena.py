"""`athena://` and `trino://` for real: what a person types and sees, and what happens when a query goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import trino

from log_assets.catalog.table import TABLE, columns
from log_assets.defs.checks import SOUND, Result, evaluate
from log_assets.errors import NotFound, QueryError, SettingError
from log_assets.ports import open_catalog, open_engine
from log_assets.query import QueryEngine
from log_assets.records import row
from log_assets.steps import audit
from log_assets.steps.pool import serial_pool
from log_assets.steps.restore import restore
from log_assets_tests.athena_server import AthenaServer, Refused, WorkGroup
from log_assets_tests.aws_proxy import Call, Fault, Refusal, proxy
from log_assets_tests.kit import H0, Kit, full_record, record

SLOW = (
    "SELECT count(*) AS n FROM UNNEST(sequence(1, 10000)) a (x), UNNEST(sequence(1, 10000)) b (y), "
    "UNNEST(sequence(1, 1000)) c (z) WHERE (x * y * z) % 7 = 3"
)


@pytest.fixture
def kit(athena_server: AthenaServer, aws: str, tmp_path: Path) -> Kit:
    kit = Kit.in_cloud(tmp_path, aws, "athena://logs")
    kit.land([record(1), record(2)])
    kit.publish(H0)
    return kit


@pytest.fixture(params=["athena", "trino"])
def engine(request: pytest.FixtureRequest, kit: Kit, trino_url: str) -> QueryEngine:
    return kit.engine if request.param == "athena" else open_engine(trino_url, kit.catalog)


pytestmark = pytest.mark.trino


def test_a_query_that_fails_says_why_in_one_line(engine: QueryEngine) -> None:
    for sql, said in (
        ("SELECT nope FROM logs", "COLUMN_NOT_FOUND: .*'nope' cannot be resolved"),
        ("SELECT * FROM nowhere", "TABLE_NOT_FOUND"),
        ("SELECT 1 / 0", "DIVISION_BY_ZERO"),
        ('SELECT * FROM "lo""gs; DROP TABLE logs"', "TABLE_NOT_FOUND"),
        ("SELECT FROM WHERE", "could not be read|SYNTAX_ERROR"),
        ("DROP TABLE compact_logs", "only one SELECT"),
        ("SELECT 1; SELECT 2", "only one SELECT"),
    ):
        with pytest.raises(QueryError, match=said) as caught:
            engine.run(sql)
        assert "\n" not in str(caught.value)
    assert engine.run("SELECT count(*) AS n FROM logs").table.to_pylist() == [{"n": 2}]


def test_a_generation_that_someone_deleted_is_found_and_made_again(kit: Kit) -> None:
    """Athena itself reads a partition without objects as one without rows: the pipeline says what is missing."""
    kit.lake.delete(kit.keys(f"compact/{H0}"))
    assert kit.engine.run("SELECT count(*) AS n FROM logs").table.to_pylist() == [{"n": 0}]
    assert f"compact/{H0}/{kit.partition().digest}" in audit.soundness(kit.lake, kit.partition()).problems[0]
    with pytest.raises(NotFound, match=rf"compact/{H0}/{kit.partition().digest}/logs\.json\.gz is not there"):
        restore(kit.lake, kit.catalog, H0)
    kit.publish(H0)
    assert kit.engine.run("SELECT count(*) AS n FROM logs").table.to_pylist() == [{"n": 2}]


def test_a_partition_of_an_older_version_is_read_beside_one_of_today(kit: Kit, engine: QueryEngine) -> None:
    """Trino reads by the table's columns what a partition's own description lacks, so no query waits for the repair."""
    full = [full_record(number) | {"more": number} for number in (3, 3601)]
    records = [record(1), record(2), full[0], record(3600), full[1]]
    kit.land(records[2:])
    kit.publish(H0, H0.plus(1))
    lacking = columns()[-1].name
    written = [json.loads(found.line) for found in row.encode(records, kit.clock) if isinstance(found, row.Row)]
    values = [one.get(row.SCHEMA[-1][0]) for one in written]
    assert None not in (values[2], values[4])
    client: Any = boto3.client("glue")
    database = kit.catalog.url.removeprefix("glue://")
    place = {"DatabaseName": database, "TableName": TABLE}
    today = client.get_partition(**place, PartitionValues=[H0])["Partition"]["StorageDescriptor"]
    older = client.get_partition(**place, PartitionValues=[H0])["Partition"]
    assert older["StorageDescriptor"]["Columns"].pop()["Name"] == lacking
    keep = ("Values", "StorageDescriptor", "Parameters")
    client.update_partition(**place, PartitionValueList=[H0], PartitionInput={name: older[name] for name in keep})

    def answers() -> None:
        sql = f"SELECT record_id, activity, detail.message AS message, {lacking} FROM {TABLE} ORDER BY record_id"
        assert [list(one.values()) for one in engine.run(sql).table.to_pylist()] == [
            [one["record_id"], one["activity"], "POST view", value] for one, value in zip(records, values, strict=True)
        ]
        sql = "SELECT hour, count(*) AS n, count(message) AS m FROM logs GROUP BY hour ORDER BY hour"
        assert [list(one.values()) for one in engine.run(sql).table.to_pylist()] == [[H0, 3, 3], [H0.plus(1), 2, 2]]

    answers()
    kit.catalog.repair()
    assert client.get_partition(**place, PartitionValues=[H0])["Partition"]["StorageDescriptor"] == today
    answers()


def test_a_query_over_the_scan_limit_says_what_to_do(kit: Kit, athena_server: AthenaServer) -> None:
    athena_server.workgroups["logs"].limit = 10
    with pytest.raises(QueryError, match=r"scanned limit was exceeded: ask for fewer hours .* or raise the workgroup"):
        kit.engine.run("SELECT max(activity) AS a FROM logs")


def test_a_workgroup_without_an_output_location_says_what_to_do(kit: Kit, athena_server: AthenaServer) -> None:
    athena_server.workgroups["logs"].output = None
    with pytest.raises(QueryError, match=r"No output location provided.*: give the workgroup an output location"):
        kit.engine.run("SELECT 1 AS a")


def test_a_workgroup_that_is_not_there_is_named(kit: Kit) -> None:
    with pytest.raises(QueryError, match=r"athena://nope: .*WorkGroup nope is not found.*check QUERY_URL"):
        open_engine("athena://nope", kit.catalog).run("SELECT 1 AS a")


def test_an_output_location_that_is_not_there_is_named(kit: Kit, athena_server: AthenaServer) -> None:
    athena_server.workgroups["gone"] = WorkGroup("s3://no-such-bucket-anywhere/x/")
    with pytest.raises(QueryError, match=r"output bucket no-such-bucket-anywhere: .*output location"):
        open_engine("athena://gone", kit.catalog).run("SELECT 1 AS a")


def test_a_result_that_cannot_be_read_is_named(
    kit: Kit, aws: str, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(aws_endpoint) as between:
        between.fault = lambda call: Refusal(403, "AccessDenied") if call.operation == "GetObject" else None
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", between.url)
        with pytest.raises(QueryError, match=rf"its result could not be read: s3://{aws}/athena-results/.*may not"):
            kit.engine.run("SELECT 1 AS a")


@pytest.mark.parametrize(
    ("kind", "message", "said"),
    [
        (
            "AccessDeniedException",
            "You are not authorized to perform: athena:StartQueryExecution",
            "deploy/ has the",
        ),
        ("ExpiredTokenException", "The security token included in the request is expired", "sign in again"),
        ("UnrecognizedClientException", "The security token included in the request is invalid", "check the AWS cred"),
    ],
)
def test_what_athena_refuses_says_how_to_repair_it(
    kit: Kit, athena_server: AthenaServer, kind: str, message: str, said: str
) -> None:
    athena_server.fault = lambda operation: Refused(message, kind) if operation == "StartQueryExecution" else None
    with pytest.raises(QueryError, match=said):
        kit.engine.run("SELECT 1 AS a")


def test_throttling_is_tried_again(kit: Kit, athena_server: AthenaServer) -> None:
    calls = 0

    def every_third(operation: str) -> Refused | None:
        nonlocal calls
        calls += 1
        return Refused("Rate exceeded", "ThrottlingException") if calls % 3 == 0 else None

    athena_server.fault = every_third
    for _ in range(2):
        assert kit.engine.run("SELECT count(*) AS n FROM logs").table.to_pylist() == [{"n": 2}]


def running(trino_url: str, text: str) -> list[str]:
    """The ids of Trino's queries that run now and hold `text`."""
    host, port = trino_url.rsplit("@", 1)[1].split("/", maxsplit=1)[0].split(":")
    cursor = trino.dbapi.connect(host=host, port=int(port), user="judge").cursor()
    cursor.execute(
        "SELECT query_id FROM system.runtime.queries WHERE state IN ('RUNNING', 'QUEUED', 'PLANNING', 'STARTING') "
        f"AND query LIKE '%{text}%' AND query NOT LIKE '%system.runtime%'"
    )
    return [one[0] for one in cursor.fetchall()]


@pytest.mark.parametrize("url", ["athena://logs", "trino"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_query_is_cancelled_when_it_is_broken_off(
    kit: Kit, trino_url: str, tmp_path: Path, url: str, number: signal.Signals
) -> None:
    mark = f"{time.time_ns()} IS NOT NULL"
    environment = os.environ | {
        "LAKE_URL": kit.lake.url,
        "CATALOG_URL": kit.catalog.url,
        "QUERY_URL": trino_url if url == "trino" else url,
    }
    command = [sys.executable, "-m", "log_assets", "query", f"{SLOW} AND {mark}"]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wanted = mark.split(maxsplit=1)[0]
    _until(lambda: bool(running(trino_url, wanted)))
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in said
    _until(lambda: not running(trino_url, wanted))


def _until(done: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_an_engine_that_is_not_there_is_one_clear_error(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(QueryError, match=r"trino://127.0.0.1:1/lake could not be asked .*check QUERY_URL"):
        open_engine("trino://user@127.0.0.1:1/lake", kit.catalog).run("SELECT 1 AS a")
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(QueryError, match="athena://logs"):
        open_engine("athena://logs", kit.catalog).run("SELECT 1 AS a")


def test_many_threads_may_ask_at_once(kit: Kit) -> None:
    found: list[object] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(kit.engine.run("SELECT count(*) AS n FROM logs").table.to_pylist())
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[{"n": 2}]] * 8


def test_the_results_lie_where_the_workgroup_says(kit: Kit, aws: str) -> None:
    kit.engine.run("SELECT 1 AS a")
    listed = boto3.client("s3").list_objects_v2(Bucket=aws, Prefix="athena-results/")
    assert any(one["Key"].endswith(".csv") for one in listed["Contents"])


def test_a_catalog_that_is_not_in_glue_is_refused(tmp_path: Path) -> None:
    local = Kit(tmp_path)
    with pytest.raises(SettingError, match=r"set CATALOG_URL=glue://database"):
        open_engine("athena://logs", local.catalog)


@pytest.mark.parametrize("fault", Fault)
def test_every_call_of_athena_fails_and_the_next_check_passes(
    kit: Kit, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """Each call that an hour's check makes fails, and fails again: the check says so, nothing else changes, and the
    next one passes; a call that fails once is not noticed."""
    before = list(kit.catalog.partitions())

    def engine() -> QueryEngine:
        return open_engine("athena://logs", open_catalog(kit.catalog.url, kit.lake.url))

    def check() -> Result:
        (result,) = evaluate([SOUND], kit.lake, kit.catalog, engine, [H0], pool=serial_pool(), captured=False)
        return result

    with (
        proxy(os.environ["AWS_ENDPOINT_URL_ATHENA"]) as athena_calls,
        proxy(aws_endpoint) as results,
        monkeypatch.context() as patch,
    ):
        athena_calls.hang_seconds = results.hang_seconds = 1.5
        patch.setenv("AWS_ENDPOINT_URL_ATHENA", athena_calls.url)
        patch.setenv("AWS_ENDPOINT_URL_S3", results.url)
        patch.setenv("AWS_RETRY_MODE", "standard")
        assert check().passed
        operations = {call.operation for call in athena_calls.calls} | {"GetObject"}
        assert operations == {"StartQueryExecution", "GetQueryExecution", "GetQueryResults", "GetObject"}
        for operation in operations:
            for attempts, times in (("1", 99), ("3", 1)):
                patch.setenv("AWS_MAX_ATTEMPTS", attempts)
                patch.setattr("log_assets.aws.READ_SECONDS", 1.0 if fault is Fault.TIMEOUT else 30)
                left = [fault] * times

                def fail(call: Call, operation: str = operation, left: list[Fault] = left) -> Fault | None:
                    return left.pop() if call.operation == operation and left else None

                athena_calls.fault = results.fault = fail
                result = check()
                assert result.passed is (times == 1), f"{operation} {times}: {result.description}"
                assert times == 1 or "athena://logs" in result.description
                athena_calls.fault = results.fault = lambda call: None
        assert check().passed
    assert list(kit.catalog.partitions()) == before
