"""What a month costs in calls: a backfill of 720 hours, as `log-assets backfill` runs it, counted on the wire."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from log_assets.hour import hours_between
from log_assets.ports import open_catalog
from log_assets.records.token import Keyring
from log_assets_tests.athena_server import AthenaServer
from log_assets_tests.aws_proxy import proxy
from log_assets_tests.history_server import RECORDS_AN_HOUR, history
from log_assets_tests.kit import H0

pytestmark = [pytest.mark.trino, pytest.mark.timeout(900)]

HOURS = list(hours_between(H0, H0.plus(719)))
GLUE_READS = ("Get", "BatchGet")


def test_a_backfill_of_720_hours_makes_few_calls(
    aws: str,
    aws_endpoint: str,
    athena_server: AthenaServer,
    tmp_path: Path,
    record_property: Any,
) -> None:
    key = Keyring.generate()
    with proxy(aws_endpoint) as counting, history(Keyring.parse(key)) as source:
        environment = os.environ | {
            "SOURCE_URL": source,
            "f_key": key,
            "START_HOUR": H0,
            "LOG_ASSETS_HOME": str(tmp_path / "home"),
            "LAKE_URL": f"s3://{aws}/lake",
            "CATALOG_URL": f"glue://{aws.replace('-', '_')}",
            "QUERY_URL": "athena://logs",
            "AWS_ENDPOINT_URL": counting.url,
        }

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "log_assets", *arguments]
            done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            return done

        run("init")
        counting.calls.clear()
        athena_server.calls.clear()
        assert f"{len(HOURS)} hours done" in run("backfill", "--from", HOURS[0], "--to", HOURS[-1]).stdout
    calls, queries = counting.counted(), Counter(athena_server.calls)
    partitions = list(open_catalog(environment["CATALOG_URL"], environment["LAKE_URL"]).partitions())
    assert [partition.hour for partition in partitions] == HOURS
    assert {partition.summary.records for partition in partitions} == {RECORDS_AN_HOUR}

    windows = sum(call.name == "s3 PutObject" and "/raw/" in f"/{call.key}" for call in counting.calls)
    s3 = sum(number for name, number in calls.items() if name.startswith("s3 "))
    told = f"{len(HOURS)} hours, {windows} windows: {calls}, {dict(queries)}"
    print(told)
    writes = [c for c in counting.calls if c.service == "glue" and not c.operation.startswith(GLUE_READS)]
    assert len(writes) <= 10, told
    # A hundred hours are checked by one query, as they are published.
    assert queries["StartQueryExecution"] <= len(HOURS) // 100 + 2, told
    assert s3 <= 4 * windows + 6 * len(HOURS), told
