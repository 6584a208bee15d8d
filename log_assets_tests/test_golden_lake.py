"""The golden lake of each format, made by the version that wrote it: later versions read it and lose nothing of it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from log_assets.records.lines import digest
from log_assets.records.token import Keyring
from log_assets_tests.golden_lake import KEY
from log_assets_tests.kit import DATA, Kit
from log_assets_tests.shell import Shell

FORMATS = ["lake-format-1"]
MADE_IN = "file:///golden/"
TOLD = ("hours", "missing_total", "rejected")
# The view's columns when the lake was made: later ones come without a change here.
SHOWN = "user_id, record_id, activity, url, method, name, in_date, message, levelname, hour, extra"
ROWS = f"SELECT {SHOWN} FROM logs ORDER BY hour, record_id, user_id"


@pytest.fixture(params=FORMATS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden lake, two days old, and its catalog, which knows where the copy lies."""
    home = tmp_path / "home"
    shutil.copytree(DATA / request.param, home)
    stamp = time.time() - timedelta(days=2).total_seconds()
    for path in home.rglob("*"):
        os.utime(path, (stamp, stamp))
    with closing(sqlite3.connect(home / "catalog.db")) as catalog, catalog:
        catalog.execute("UPDATE compact_logs SET location = replace(location, ?, ?)", (MADE_IN, f"{home.as_uri()}/"))
    return home


def records(text: str) -> bytes:
    """JSON a line, however its text is escaped."""
    return json.dumps([json.loads(line) for line in text.split("\n") if line]).encode()


def described(kit: Kit, shell: Shell) -> dict[str, Any]:
    """What status, query and restore say of every hour that is published."""
    hours = [partition.hour for partition in kit.catalog.partitions()]
    return {
        "status": {name: value for name, value in shell.status().items() if name in TOLD},
        "rows": [list(row.values()) for row in json.loads(shell.done("query", ROWS, "--format", "json"))],
        "lines": json.loads(shell.done("query", "SELECT count(*) AS n FROM compact_logs", "--format", "json")),
        "restored": {hour: digest(records(shell.done("restore", "--hour", hour))) for hour in hours},
        "digests": {partition.hour: partition.digest for partition in kit.catalog.partitions()},
    }


def test_status_query_restore_compact_and_tidy_read_it(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(tmp_path, monkeypatch)
    shell.set(LOG_ASSETS_HOME=str(golden), f_key=KEY, SOURCE_URL=shell.source.as_uri())
    kit = Kit(golden, Keyring.parse(KEY))
    found: dict[str, Any] = {"as it was": described(kit, shell)}

    before = {key: kit.lake.get(key) for key in kit.keys("")}
    found["poll"] = shell.done("poll", "--once").splitlines()
    found["caught up"] = described(kit, shell)
    # A grace is counted from each publication: only the hours of the golden catalog are old enough.
    found["tidy"] = shell.done("tidy").splitlines()
    assert described(kit, shell) == found["caught up"]
    found["kept"] = sorted(set(before) & set(kit.keys("")))
    assert {key: kit.lake.get(key) for key in found["kept"]} == {key: before[key] for key in found["kept"]}

    assert found == json.loads((golden / "expected.json").read_text())
