"""A process loads what it needs and no more: a broken upgrade of Dagster or DuckDB stops no capture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from log_assets.errors import SettingError
from log_assets.ports import open_engine
from log_assets_tests.kit import H0, Kit, record
from log_assets_tests.raw_server import raw_server, response

HEAVY = {"dagster", "duckdb", "pyarrow", "sqlglot", "boto3", "pyathena", "trino"}

# Runs a command and writes down which modules it loaded. `poll` runs until its first window has landed.
CHILD = """
import json, os, signal, sys, threading, time
from pathlib import Path

def stop_when_captured():
    while not list(Path(os.environ["LOG_ASSETS_HOME"], "lake", "raw").rglob("*.gz")):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)

from log_assets.commands.cli import main
if sys.argv[1:] == ["poll"]:
    threading.Thread(target=stop_when_captured, daemon=True).start()
try:
    main()
except SystemExit as end:
    code = end.code or 0
Path("modules.json").write_text(json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def loaded(folder: Path, *arguments: str, **environment: str) -> tuple[int, set[str]]:
    """The exit code of a command, and the packages that its process loaded."""
    subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        check=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LOG_ASSETS_HOME": str(folder / "home"), **environment},
        capture_output=True,
        timeout=60,
    )
    code, modules = json.loads((folder / "modules.json").read_text())
    return code, set(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["keygen"], ["query", "--help"]], ids=" ".join)
def test_help_version_and_keygen_load_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    code, modules = loaded(tmp_path, *arguments)
    assert code == 0
    assert modules & (HEAVY | {"numpy", "pydantic", "obstore"}) == set()


def test_a_running_capturer_loads_nothing_heavy(tmp_path: Path) -> None:
    window = response(b'[{"recordId": 1, "data": "x"}]')
    with raw_server(lambda connection, _: connection.sendall(window)) as (url, _):
        code, modules = loaded(tmp_path, "poll", SOURCE_URL=url)
    assert code == 0
    assert modules & HEAVY == set()


@pytest.mark.parametrize("arguments", [["status"], ["restore", "--hour", H0]], ids=lambda some: some[0])
def test_status_and_restore_load_no_engine(tmp_path: Path, arguments: list[str]) -> None:
    kit = Kit(tmp_path / "home")
    kit.land([record(1)])
    kit.publish(H0)
    code, modules = loaded(tmp_path, *arguments)
    assert code == 0
    assert modules & HEAVY == set()


@pytest.mark.parametrize(
    ("query_url", "needed"),
    [("duckdb://", {"duckdb", "pyarrow", "sqlglot"}), ("trino://127.0.0.1:1/lake", {"trino", "pyarrow", "sqlglot"})],
)
def test_doctor_loads_only_the_engine_that_is_set(tmp_path: Path, query_url: str, needed: set[str]) -> None:
    Kit(tmp_path / "home")
    (tmp_path / "source").mkdir()
    _, modules = loaded(tmp_path, "doctor", SOURCE_URL=(tmp_path / "source").as_uri(), QUERY_URL=query_url)
    assert modules & HEAVY == needed


def test_a_library_that_is_not_installed_is_named_with_what_installs_it(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "log_assets.query.embedded", raising=False)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(SettingError, match=r"QUERY_URL needs the library duckdb, .* pip install duckdb"):
        open_engine("duckdb://", kit.catalog)
