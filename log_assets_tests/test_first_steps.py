"""The first steps in a folder: no lake is made by reading, and what `init` chose or was told stands in `.env`."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from log_assets.settings import Settings
from log_assets_tests.kit import H0, body, record
from log_assets_tests.shell import Shell

ROOT = Path(__file__).parent.parent
NO_LAKE = "no lake here: run log-assets init"
READING = (
    ["query", "SELECT 1 AS one"],
    ["query", "hour_sizes"],
    ["status"],
    ["status", "--format", "json"],
    ["restore", "--hour", H0],
    ["requeue"],
    ["tidy"],
    ["backfill", "--from", H0, "--to", H0],
)
SECRET = "https://user:c4n4ry@127.0.0.1:9/logs?from={start}&to={end}&token=c4n4ry"


def new_shell(shell: Shell, *names: str) -> None:
    """As a terminal that was opened just now: nothing is exported."""
    for name in names or Settings.variables():
        shell.monkeypatch.delenv(name, raising=False)


def env(shell: Shell) -> dict[str, str | None]:
    return dotenv_values(shell.folder / ".env")


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_no_lake_is_made_by_reading(shell: Shell, command: list[str]) -> None:
    shell.use_folder()
    before = sorted(shell.folder.rglob("*"))
    assert NO_LAKE in shell.failed(*command)
    assert sorted(shell.folder.rglob("*")) == before


def test_no_lake_is_made_by_looking_for_what_is_wrong(shell: Shell) -> None:
    shell.use_folder()
    before = sorted(shell.folder.rglob("*"))
    shown = shell.run("doctor").stdout
    assert f"FAIL  lake: {NO_LAKE}" in shown
    assert sorted(shell.folder.rglob("*")) == before


def test_an_empty_folder_and_a_lake_without_its_catalog_are_no_lake(shell: Shell) -> None:
    shell.use_folder()
    (shell.folder / "empty").mkdir()
    shell.set(LAKE_URL=(shell.folder / "empty").as_uri())
    assert NO_LAKE in shell.failed("status")
    assert list((shell.folder / "empty").iterdir()) == []
    shell.monkeypatch.delenv("LAKE_URL")
    shell.done("init")
    (shell.folder / ".log_assets/catalog.db").unlink()
    for command in (["status"], ["query", "SELECT 1 AS one"]):
        assert "no catalog here" in shell.failed(*command)
    assert not (shell.folder / ".log_assets/catalog.db").exists()


def test_no_lake_and_no_table_on_aws_are_made_by_reading(shell: Shell, aws: str) -> None:
    import boto3

    shell.use_folder()
    shell.set(LAKE_URL=f"s3://{aws}/x", CATALOG_URL="glue://nowhere", QUERY_URL="athena://logs")
    assert NO_LAKE in shell.failed("status")
    assert "no catalog here" in shell.failed("query", "SELECT 1 AS one")
    assert boto3.client("s3").list_objects_v2(Bucket=aws)["KeyCount"] == 0
    assert "nowhere" not in [one["Name"] for one in boto3.client("glue").get_databases()["DatabaseList"]]


def test_init_writes_down_the_source_that_is_exported(shell: Shell) -> None:
    shell.use_folder()
    shell.set(SOURCE_URL=SECRET, LOG_ASSETS_HOME="a home", REFRESH_MINUTES="7")
    key = os.environ["f_key"]  # noqa: SIM112
    result = shell.run("init")
    assert result.exit_code == 0, result.output
    assert "c4n4ry" not in result.output
    assert "https://127.0.0.1:9/logs" in result.stdout
    assert stat.S_IMODE((shell.folder / ".env").stat().st_mode) == 0o600
    new_shell(shell)
    shell.set(f_key=key)
    assert Settings.load().source_url == SECRET
    assert Settings.load().home == shell.folder / "a home"
    assert Settings.load().refresh_minutes == 7
    # A key that is exported comes from where secrets are kept, and stays there.
    assert "f_key" not in env(shell)
    sourced = subprocess.run(
        ["sh", "-c", '. ./.env; printf %s "$SOURCE_URL"'],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sourced.stdout == SECRET
    shell.done("init")


def test_init_without_a_source_chooses_the_demo_and_writes_it_down(shell: Shell) -> None:
    shell.done("init")
    assert env(shell)["SOURCE_URL"] == "demo://"
    new_shell(shell)
    assert "FAIL" not in shell.done("doctor")
    assert "ok    source: demo:// answers" in shell.done("doctor")


@pytest.mark.parametrize(
    "command", [["poll"], ["poll", "--once"], ["backfill", "--from", H0, "--to", H0], ["up", "--check"]], ids=" ".join
)
def test_nothing_asks_the_demo_source_where_nobody_chose_it(shell: Shell, command: list[str]) -> None:
    """Of 0.1.0: SOURCE_URL was exported, and stands nowhere."""
    shell.use_folder()
    shell.done("init")
    (shell.source / "a.json").write_bytes(body(shell.keyring, [record(1)]))
    shell.done("poll", "--once")
    (shell.folder / ".env").unlink()
    shell.monkeypatch.delenv("SOURCE_URL")
    before = shell.status()
    shown = shell.failed(*command)
    assert "SOURCE_URL is not set" in shown
    assert "log-assets init" in shown
    assert shown.count("\n") == 1
    assert shell.status() == before
    assert "FAIL  source: SOURCE_URL is not set" in shell.run("doctor").stdout


def test_init_chooses_no_demo_for_a_lake_that_is_in_use(shell: Shell) -> None:
    shell.use_folder()
    (shell.source / "a.json").write_bytes(body(shell.keyring, [record(1)]))
    shell.done("poll", "--once")
    source = os.environ["SOURCE_URL"]
    shell.monkeypatch.delenv("SOURCE_URL")
    shown = shell.failed("init")
    assert "SOURCE_URL is not set, and the lake" in shown
    assert "SOURCE_URL=demo://" in shown
    assert shown.count("\n") == 1
    assert "SOURCE_URL" not in env(shell)
    shell.set(SOURCE_URL=source)
    shell.done("init")
    assert env(shell)["SOURCE_URL"] == source


def test_init_refuses_another_source_than_the_one_written_down(shell: Shell) -> None:
    shell.done("init")
    shell.set(SOURCE_URL=SECRET)
    shown = shell.failed("init")
    assert "SOURCE_URL is https://127.0.0.1:9/logs in the environment and demo:// in" in shown
    assert "c4n4ry" not in shown
    assert env(shell)["SOURCE_URL"] == "demo://"
    assert "FAIL  source: SOURCE_URL is https://127.0.0.1:9/logs in the environment" in shell.run("doctor").stdout


@pytest.mark.parametrize("url", ["https://127.0.0.1:9/a${HOME}b", "https://127.0.0.1:9/a\r\nb"])
def test_what_dotenv_cannot_hold_is_said(shell: Shell, url: str) -> None:
    shell.use_folder()
    shell.set(SOURCE_URL=url)
    shown = shell.failed("init")
    assert "SOURCE_URL cannot be written to" in shown
    assert "SOURCE_URL" not in env(shell)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that even root cannot write to is wanted")
def test_where_nothing_can_be_written_the_environment_is_enough(shell: Shell, tmp_path: Path) -> None:
    shell.use_folder()
    shell.set(LOG_ASSETS_HOME=str(tmp_path / "home"))
    shell.monkeypatch.chdir("/proc/self")
    assert "could not be written" in shell.done("init")
    assert shell.status()["hours"] == []


@pytest.mark.slow
def test_the_demos_last_line_and_the_uis_hint_work_as_they_are_typed(tmp_path: Path) -> None:
    demo = tmp_path / "clone" / "it's a demo"
    demo.mkdir(parents=True)
    clean = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "UI": "0",
        "PORT": "0",
        "SOURCE_URL": "http://no.where/",
    }
    done = subprocess.run(
        ["sh", ROOT / "deploy/demo.sh", Path(sys.executable).parent, demo],
        env=clean, capture_output=True, text=True, check=True,
    )  # fmt: skip
    command = done.stdout.splitlines()[-1]
    assert shlex.split(command)[:2] == ["cd", str(demo)]
    hint = subprocess.run(
        [sys.executable, "-c", "from log_assets.definitions import query_hint; print(query_hint())"],
        cwd=demo, env=clean | {"SOURCE_URL": ""}, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    for typed in (command, hint):
        shown = subprocess.run(
            ["sh", "-c", typed], cwd=tmp_path / "clone", env=clean, capture_output=True, text=True, check=True
        )
        assert "rows" in shown.stderr
        assert not shown.stderr.startswith("0 rows")
    assert [path.name for path in (tmp_path / "clone").iterdir()] == [demo.name]


@pytest.mark.parametrize("variable", ["SOURCE_URL", "LAKE_URL", "CATALOG_URL", "QUERY_URL"])
def test_what_is_refused_is_not_written_down(shell: Shell, variable: str) -> None:
    shell.use_folder()
    shell.set(**{variable: "ftp://nowhere/"})
    assert variable in shell.failed("init")
    assert env(shell) == {}
