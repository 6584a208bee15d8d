"""A user on s3://, glue:// and athena:// types what a user of the embedded default types, and sees the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from log_assets.defs.keys import COMPACT_LOGS, LOGS_TABLE
from log_assets.ports import open_catalog
from log_assets.query.sql import saved_queries
from log_assets_tests.athena_server import AthenaServer
from log_assets_tests.kit import H0, body, real_records, record
from log_assets_tests.shell import Shell

pytestmark = pytest.mark.trino

H1 = H0.plus(1)
QUERIES = [
    ["SELECT * FROM logs ORDER BY record_id, in_date"],
    ["SELECT hour, count(*) AS n FROM compact_logs GROUP BY hour ORDER BY hour"],
    *([name] for name in saved_queries() if name not in ("hour_sizes", "user_history")),
    ["user_history", "-p", f"user_id={real_records()[0]['user_id']}"],
]


class Terminal:
    """Commands in processes of their own, in a folder of their own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        folder.mkdir()
        self.folder, self.environment = folder, os.environ | settings

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "log_assets", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False
        )

    def done(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def partitions(catalog_url: str, lake_url: str) -> list[Any]:
    return [(p.hour, p.digest, p.summary) for p in open_catalog(catalog_url, lake_url).partitions()]


def checks(home: Path) -> list[Any]:
    """Every check's result, by partition, and what hour_is_sound counted."""
    found = []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for asset in (COMPACT_LOGS, LOGS_TABLE):
            assert instance.get_materialized_partitions(asset) == {H0, H1}
        records = instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION), limit=1000
        )
    for one in records:
        event = one.event_log_entry.dagster_event
        assert event is not None
        evaluation: Any = event.event_specific_data
        counted = evaluation.metadata.get("rows_counted_by_the_query_engine")
        found.append((evaluation.check_name, evaluation.partition, evaluation.passed, counted and counted.value))
    return sorted(found)


def test_a_user_sees_the_same_on_aws(
    aws: str, athena_server: AthenaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Shell(tmp_path, monkeypatch)
    here.use_folder()
    settings = {
        "LAKE_URL": f"s3://{aws}/lake",
        "CATALOG_URL": f"glue://{aws.replace('-', '_')}",
        "QUERY_URL": "athena://logs",
    }
    there = Terminal(tmp_path / "there", **settings)
    late = [record(7000), record(3, extra={"a": [1e16, None]}, activity=None)]
    for name, records in (("1", real_records()), ("2", real_records()[10:] + late)):
        (here.source / f"{name}.json").write_bytes(body(here.keyring, records))

    assert "the view logs is made" in there.done("init")
    here.done("init")
    for side in (here, there):
        assert "captured 2 new windows" in side.done("poll", "--once")
        assert "2 hours done" in side.done("backfill", "--from", H0, "--to", H1)
    assert there.done("status", "--format", "json") == here.done("status", "--format", "json")
    assert there.done("query", QUERIES[0][0]) == here.done("query", QUERIES[0][0])
    assert there.done("restore", "--hour", H0) == here.done("restore", "--hour", H0)

    shown = there.done("doctor")
    assert "FAIL" not in shown
    assert "workgroup: logs is enabled" in shown
    assert partitions(settings["CATALOG_URL"], settings["LAKE_URL"]) == partitions(
        f"sqlite://{tmp_path}/.log_assets/catalog.db", ""
    )
    results = checks(tmp_path / "there/.log_assets/dagster")
    assert results == checks(tmp_path / ".log_assets/dagster")
    assert ("hour_is_sound", H0, True, 41) in results
    # What the run printed lies in S3, where every machine's UI finds it.
    assert "S3ComputeLogManager" in (tmp_path / "there/.log_assets/dagster/dagster.yaml").read_text()
    with dg.DagsterInstance.from_config(str(tmp_path / "there/.log_assets/dagster")) as instance:
        assert type(instance.compute_log_manager).__name__ == "S3ComputeLogManager"

    # The rest in this process, which is quicker.
    expected = [json.loads(here.done("query", *query, "--format", "json")) for query in QUERIES]
    here.set(**settings)
    for query, rows in zip(QUERIES, expected, strict=True):
        assert json.loads(here.done("query", *query, "--format", "json")) == rows, query
    # A command that fails says so in one line, and SQL that is none of ours changes nothing.
    for sql, said in (
        ("SELECT nope FROM logs", "'nope' cannot be resolved"),
        ("SELECT FROM WHERE", "could not be read"),
        ('SELECT * FROM "lo""gs"', "does not exist"),
        ("DROP LOGS_TABLE compact_logs", "only one SELECT"),
    ):
        failed = here.failed("query", sql)
        assert said in failed
        assert failed.count("\n") == 1
    injected = "user_id=' OR '1'='1"
    assert json.loads(here.done("query", "user_history", "-p", injected, "--format", "json")) == []
    athena_server.workgroups["logs"].output = None
    assert "No output location provided" in here.failed("query", "SELECT 1 AS a")
    assert boto3.client("s3").list_objects_v2(Bucket=aws, Prefix="lake/raw/")["KeyCount"] == 2
