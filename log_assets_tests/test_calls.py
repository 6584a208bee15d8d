"""What a month costs in calls: a backfill of 720 hours, as `log-assets backfill` runs it, counted on the wire."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from log_assets.hour import hours_between
from log_assets.ports import open_catalog
from log_assets.records.token import Keyring
from log_assets_tests.athena_server import AthenaServer
from log_assets_tests.aws_proxy import proxy
from log_assets_tests.kit import BASE, H0, body, record

pytestmark = [pytest.mark.trino, pytest.mark.timeout(900)]

HOURS = list(hours_between(H0, H0.plus(719)))
RECORDS_AN_HOUR = 3
GLUE_READS = ("Get", "BatchGet")


@contextmanager
def history(keyring: Keyring) -> Iterator[str]:
    """A source with history, of three records an hour: its SOURCE_URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            first, last = (datetime.fromisoformat(query[name][0]) for name in ("from", "to"))
            hours = range(int((first - BASE).total_seconds()) // 3600, int((last - BASE).total_seconds()) // 3600)
            found = [record(hour * 3600 + number) for hour in hours for number in range(RECORDS_AN_HOUR)]
            content = body(keyring, found)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/?from={{start}}&to={{end}}"
    finally:
        server.shutdown()
        server.server_close()


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
    assert queries["StartQueryExecution"] <= 2, told
    assert s3 <= 4 * windows + 6 * len(HOURS), told
