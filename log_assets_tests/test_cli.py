"""The command line as a person types it: what it prints, and what it says when it fails."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from log_assets.hour import Hour
from log_assets.records import lines
from log_assets.records.token import Keyring
from log_assets.source.demo import DemoRecords
from log_assets.source.demo_server import DemoServer
from log_assets_tests.kit import H0, body, real_records, record
from log_assets_tests.raw_server import raw_server, response
from log_assets_tests.shell import Shell

H1 = H0.plus(1)


def save(shell: Shell, name: str, records: list[dict[str, Any]]) -> None:
    (shell.source / name).write_bytes(body(shell.keyring, records))


def test_the_real_records_from_a_folder_come_back_and_are_decoded(shell: Shell) -> None:
    shell.use_folder()
    save(shell, "a.json", real_records()[:25])
    (shell.source / "b.json.gz").write_bytes(lines.pack(body(shell.keyring, real_records()[20:])).data)
    assert "captured 2 new windows" in shell.done("poll", "--once")
    assert "captured 0 new windows" in shell.done("poll", "--once")
    assert shell.status() == {
        "hours": [
            {
                "hour": H0,
                "records": 40,
                "bytes": shell.status()["hours"][0]["bytes"],
                "first_record_id": 5822,
                "last_record_id": 5861,
                "missing": 0,
                "conflicts": 0,
            }
        ],
        "missing_total": 0,
        "rejected": 0,
        "waiting": 0,
        "capture": {"last_poll": None, "last_good": None, "polls": 0, "failures": 0, "problem": ""},
        "not_fetched": [],
        "problems": [],
    }
    restored = shell.done("restore", "--hour", H0).splitlines()
    assert [json.loads(line) for line in restored] == real_records()
    decoded = json.loads(shell.done("query", "SELECT * FROM logs ORDER BY record_id", "--format", "json"))
    assert [(one["user_id"], one["record_id"], one["activity"], one["method"]) for one in decoded] == [
        (one["user_id"], one["record_id"], one["activity"], "POST") for one in real_records()
    ]
    assert decoded[0]["in_date"] == "2023-03-10 01:48:11.818"
    assert (decoded[0]["message"], decoded[0]["levelname"], decoded[0]["extra"]) == ("POST view", "INFO", None)


def test_the_real_records_over_http_come_back(shell: Shell) -> None:
    key = Keyring.generate()

    class Served(DemoRecords):
        def window(self, keyring: Keyring, now: datetime, late: Any = ()) -> bytes:
            return body(keyring, real_records())

    with DemoServer(Keyring.parse(key), Served()).running() as url:
        shell.set(SOURCE_URL=url, f_key=key)
        shell.done("poll", "--once")
    restored = shell.done("restore", "--hour", H0).splitlines()
    assert [json.loads(line) for line in restored] == real_records()


def test_hours_before_start_hour_wait_and_that_is_said(shell: Shell) -> None:
    shell.use_folder()
    shell.set(START_HOUR=H1)
    save(shell, "a.json", [record(1), record(3601)])
    assert f"1 hours from {H0} on lie before START_HOUR {H1} and wait" in shell.done("poll", "--once")
    assert [one["hour"] for one in shell.status()["hours"]] == [H1]
    shell.set(START_HOUR=H0)
    shell.done("init")
    shell.done("backfill", "--from", H0, "--to", H0)
    assert [one["hour"] for one in shell.status()["hours"]] == [H0, H1]


def test_formats_of_a_query(shell: Shell) -> None:
    shell.use_folder()
    save(shell, "a.json", [record(1), record(2, activity='say "hi", you'), record(3, activity=None)])
    shell.done("poll", "--once")
    sql = "SELECT record_id, activity FROM logs ORDER BY record_id"
    rows = [(1, "cart"), (2, 'say "hi", you'), (3, None)]
    assert json.loads(shell.done("query", sql, "--format", "json")) == [
        {"record_id": number, "activity": activity} for number, activity in rows
    ]
    found = list(csv.reader(io.StringIO(shell.done("query", sql, "--format", "csv"))))
    assert found == [["record_id", "activity"], *[[str(number), activity or ""] for number, activity in rows]]
    assert 'say "hi", you' in shell.done("query", sql)
    assert "bytes scanned" in shell.run("query", sql).stderr


def test_saved_queries_run_with_their_defaults_and_with_parameters(shell: Shell) -> None:
    shell.use_folder()
    save(shell, "a.json", [record(number) for number in (1, 2, 5, 3601)])
    shell.done("poll", "--once")
    names = [line.split(":")[0] for line in shell.done("query", "--list").splitlines() if not line.startswith(" ")]
    assert len(names) >= 6
    for name in names:
        json.loads(shell.done("query", name, "--format", "json"))
    found = json.loads(shell.done("query", "hour_sizes", "-p", f"to_hour={H0}", "--format", "json"))
    assert [one["hour"] for one in found] == [H0]
    missing = json.loads(shell.done("query", "missing_record_ids", "--format", "json"))
    assert [(one["first_missing"], one["last_missing"], one["missing"]) for one in missing] == [
        (3, 4, 2),
        (6, 3600, 3595),
    ]
    assert "no parameter 'nope'" in shell.failed("query", "hour_sizes", "-p", "nope=1")
    # A value is bound and never pasted.
    injected = shell.done("query", "user_history", "-p", "user_id=' OR 1=1 --", "--format", "json")
    assert json.loads(injected) == []


def test_wrong_usage_is_exit_code_two(shell: Shell) -> None:
    shell.use_folder()
    for arguments in (
        ["query"],
        ["query", "no_such_query"],
        ["query", "SELECT 1 AS n", "-p", "a=b"],
        ["query", "hour_sizes", "-p", "novalue"],
        ["restore", "--hour", "2023-02-30-01"],
        ["restore", "--hour", "2023-03-10-24"],
        ["backfill", "--from", "2023-03-10"],
        ["nonsense"],
    ):
        shell.failed(*arguments, code=2)
    assert "no hour of the calendar" in shell.failed("restore", "--hour", "2023-02-30-01", code=2)


@pytest.mark.parametrize("sql", ["SELEC 1", "DROP TABLE compact_logs", "SELECT nope FROM logs", "SELECT 1; SELECT 2"])
def test_a_query_that_cannot_run_is_one_clear_error(shell: Shell, sql: str) -> None:
    shell.use_folder()
    assert shell.failed("query", sql).startswith("Error: ")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SOURCE_URL", "ftp://x/y", "SOURCE_URL"),
        ("LAKE_URL", "ftp://x/y", "LAKE_URL"),
        ("CATALOG_URL", "mysql://x", "CATALOG_URL"),
        ("QUERY_URL", "hive://x", "QUERY_URL"),
        ("f_key", "not a key", "f_key is malformed"),
        ("START_HOUR", "2023-02-30-01", "START_HOUR is malformed"),
        ("REFRESH_MINUTES", "soon", "REFRESH_MINUTES is malformed"),
        ("REFRESH_MINUTES", "-1", "REFRESH_MINUTES is malformed"),
    ],
)
def test_a_bad_setting_is_one_error_that_names_it(shell: Shell, variable: str, value: str, said: str) -> None:
    shell.use_folder()
    shell.set(**{variable: value})
    shown = shell.failed("init")
    assert said in shown
    assert shown.count("\n") == 1


def test_init_makes_what_is_missing_and_is_safe_to_run_again(shell: Shell) -> None:
    shell.monkeypatch.delenv("START_HOUR")
    shell.done("init")
    dotenv = shell.folder / ".env"
    first = dotenv.read_text()
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600
    assert "START_HOUR=" in first
    assert "f_key=" in first
    for variable in ("START_HOUR", "f_key"):
        shell.monkeypatch.delenv(variable)
    shell.done("init")
    assert dotenv.read_text() == first
    assert (shell.folder / ".log_assets/dagster/dagster.yaml").exists()
    shown = shell.done("doctor")
    assert "FAIL" not in shown
    assert "f_key opens 100 of them" in shown
    assert first.split("f_key=")[1].strip() not in shown


def test_init_makes_dagsters_databases_before_several_processes_would(shell: Shell) -> None:
    shell.done("init")
    databases = list((shell.folder / ".log_assets/dagster").rglob("*.db"))
    assert {file.name for file in databases} == {"runs.db", "index.db", "schedules.db"}
    for file in databases:
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_init_makes_no_key_for_a_source_that_is_not_the_demo(shell: Shell) -> None:
    shell.set(SOURCE_URL=shell.source.as_uri())
    assert "put a line f_key=" in shell.failed("init")
    assert "f_key" not in (shell.folder / ".env").read_text() if (shell.folder / ".env").exists() else True


def test_the_environment_wins_over_dotenv(shell: Shell) -> None:
    shell.use_folder()
    (shell.folder / ".env").write_text("START_HOUR=2020-01-01-00\nREFRESH_MINUTES=7\n")
    from log_assets.settings import Settings

    settings = Settings.load()
    assert (settings.start_hour, settings.refresh_minutes) == ("2023-03-10-00", 7)
    os.environ.pop("REFRESH_MINUTES", None)


def test_without_a_key_capture_goes_on_and_reading_says_where_to_put_it(shell: Shell) -> None:
    shell.use_folder()
    shell.done("init")
    save(shell, "a.json", [record(1)])
    shell.monkeypatch.delenv("f_key")
    assert "captured 1 new windows" in shell.done("poll", "--once")
    assert shell.status()["hours"] == []
    assert "f_key is not set" in shell.failed("requeue")


def test_a_wrong_key_keeps_the_window_until_the_key_is_right(shell: Shell) -> None:
    shell.use_folder()
    save(shell, "a.json", [record(1)])
    right = os.environ["f_key"]  # noqa: SIM112
    shell.set(f_key=Keyring.generate())
    assert "set the right key" in shell.failed("poll", "--once")
    shell.set(f_key=right)
    shell.done("poll", "--once")
    assert shell.status()["hours"][0]["records"] == 1


def test_requeue_reads_what_another_key_opens(shell: Shell) -> None:
    shell.use_folder()
    other = Keyring.generate()
    items = json.loads(body(shell.keyring, [record(1)])) + json.loads(body(Keyring.parse(other), [record(2)]))
    (shell.source / "a.json").write_text(json.dumps(items))
    shell.done("poll", "--once")
    assert shell.status()["rejected"] == 1
    shell.set(f_key=f"{os.environ['f_key']},{other}")  # noqa: SIM112
    assert "1 of 1 rejected records could be read now" in shell.done("requeue")
    assert (shell.status()["rejected"], shell.status()["hours"][0]["records"]) == (0, 2)


def test_backfill_publishes_what_is_there_and_a_bad_hour_fails_alone(shell: Shell) -> None:
    shell.use_folder()
    shell.set(LOG_ASSETS_HOME=str(shell.folder / "home"))
    shell.done("init")
    save(shell, "a.json", [record(number * 3600) for number in range(4)])
    key = os.environ["f_key"]  # noqa: SIM112
    shell.monkeypatch.delenv("f_key")
    shell.done("poll", "--once")
    shell.set(f_key=key)
    from log_assets_tests.kit import Kit

    kit = Kit(shell.folder / "home", Keyring.parse(key))
    from log_assets.steps.receipts import pending

    for window in pending(kit.lake):
        kit.transform(window)
    bad = next(key for key in kit.keys("rows") if f"/{H1}/" in key)
    whole = kit.lake.get(bad)
    kit.lake.replace(bad, b"damaged")
    result = shell.run("backfill", "--from", H0, "--to", H0.plus(5))
    assert result.exit_code == 1
    assert "5 hours done" in result.stdout
    assert f"{H1} failed: " in result.stderr
    assert bad in result.stderr
    assert {one["hour"]: one["records"] for one in shell.status()["hours"]} == {
        H0: 1, H0.plus(2): 1, H0.plus(3): 1, H0.plus(4): 0, H0.plus(5): 0
    }  # fmt: skip
    kit.lake.replace(bad, whole)
    assert "1 hours done" in shell.done("backfill", "--from", H1, "--to", H1)


def test_backfill_asks_a_source_with_history(shell: Shell) -> None:
    shell.set(START_HOUR="2026-01-01-00")
    shell.done("init")
    hours = [Hour("2026-01-02-03"), Hour("2026-01-02-04")]
    shell.done("backfill", "--from", hours[0], "--to", hours[1])
    records = [one["records"] for one in shell.status()["hours"]]
    assert all(abs(number - 10_800) <= 2 for number in records)
    assert shell.status()["missing_total"] == 0


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2023-03-10-02", "2023-03-10-01", "--from comes first"),
        ("2020-01-01-00", "2023-03-10-01", "before START_HOUR"),
        ("2023-03-10-01", "2999-01-01-00", "in the future"),
    ],
)
def test_a_backfill_of_no_range_says_why(shell: Shell, first: str, last: str, said: str) -> None:
    shell.use_folder()
    assert said in shell.failed("backfill", "--from", first, "--to", last)


def test_a_taken_port_is_a_clear_error(shell: Shell) -> None:
    shell.use_folder()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert f"port {port} is taken" in shell.failed("up", "--port", str(port))


def test_tidy_and_keygen(shell: Shell) -> None:
    shell.use_folder()
    shell.done("init")
    assert "removed 0 rows files" in shell.done("tidy", "--raw-days", "30")
    assert Keyring.parse(shell.done("keygen").strip())


def test_a_lake_that_is_no_folder_and_a_lake_of_another_format(shell: Shell) -> None:
    shell.use_folder()
    (shell.folder / "file").write_text("in the way")
    shell.set(LAKE_URL=(shell.folder / "file/lake").as_uri())
    assert "no lake here" in shell.failed("status")
    assert "check LAKE_URL" in shell.failed("init")
    other = shell.folder / "other"
    other.mkdir()
    (other / "lake.json").write_text('{"format": 7}')
    shell.set(LAKE_URL=other.as_uri())
    assert "is of format 7" in shell.failed("status")


def test_doctor_names_each_thing_to_repair(shell: Shell) -> None:
    shell.use_folder()
    shell.done("init")
    (shell.folder / ".env").unlink()
    (shell.folder / ".log_assets/dagster/dagster.yaml").unlink()
    shell.set(SOURCE_URL="http://127.0.0.1:9/logs", f_key=Keyring.generate(), QUERY_URL="hive://")
    result = shell.run("doctor")
    assert result.exit_code == 1
    failed = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
    assert [line.split()[1].strip(":") for line in failed] == ["source", "query", "dagster"]


def test_status_shows_gaps_and_resets_to_people(shell: Shell) -> None:
    shell.use_folder()
    save(shell, "a.json", [record(number) for number in (10, 11, 15)])
    save(shell, "b.json", [record(1, moment=H1.start)])
    shell.done("poll", "--once")
    shown = shell.done("status")
    assert "missing before 2023-03-10-01: 3 records, ids 12-14" in shown
    assert "reset in 2023-03-10-02: 15 → 1" in shown


def test_retries_are_told_in_the_log_and_never_on_stdout(shell: Shell, tmp_path: Path) -> None:
    """In a process of its own: as soon as structlog is installed, stamina prints to stdout unless it is told not to."""
    with raw_server(lambda connection, _: connection.sendall(response(b"oops", "503 Busy"))) as (url, _):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import structlog; from log_assets.commands.cli import main; main()",
                "poll",
                "--once",
            ],
            env={"PATH": os.environ["PATH"], "SOURCE_URL": url, "LOG_ASSETS_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "captured 0 new windows\n"
    assert done.stderr.count("tried again in") == 2
    assert done.returncode == 1


def test_nobody_else_may_read_what_is_written(shell: Shell) -> None:
    """Whatever the umask was, and also where an earlier version left its home open."""
    Path(".log_assets").mkdir()
    Path(".log_assets").chmod(0o755)
    before = os.umask(0)
    try:
        shell.use_folder()
        shell.done("init")
        save(shell, "a.json", real_records())
        shell.done("poll", "--once")
    finally:
        os.umask(before)
    paths = [Path(".log_assets"), *Path(".log_assets").rglob("*")]
    assert len(paths) > 20
    assert [str(path) for path in paths if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)] == []


def test_without_a_key_poll_once_says_that_windows_wait_for_it(shell: Shell) -> None:
    shell.use_folder()
    save(shell, "a.json", real_records())
    shell.monkeypatch.delenv("f_key")
    result = shell.run("poll", "--once")
    assert result.exit_code == 0
    assert "captured 1 new windows" in result.stdout
    assert "1 windows wait to be read until f_key is set" in result.stderr
