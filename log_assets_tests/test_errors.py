"""Where an error leaves: one line and exit code 1, whatever it was; of what nobody foresaw a file, without secrets."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from log_assets.settings import Settings
from log_assets_tests.kit import H0, body, record
from log_assets_tests.shell import Shell

CANARY = "c4n4ry"
URL = f"https://user:{CANARY}@127.0.0.1:9/logs?token=o7h3r%21%40one"


def one_line(said: str) -> str:
    assert said.startswith("Error: "), said
    assert said.count("\n") == 1, said
    return said


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "pip install 'httpx[socks]'"),
        ("all_proxy", "socks5://127.0.0.1:9", "ALL_PROXY"),
        ("HTTPS_PROXY", f"ftp://user:{CANARY}@127.0.0.1", "HTTPS_PROXY"),
        ("NO_PROXY", "[::1]", "NO_PROXY"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "SSL_CERT_FILE"),
        ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE"),
    ],
)
@pytest.mark.parametrize("command", [["poll"], ["poll", "--once"], ["init"], ["up", "--check"]], ids=" ".join)
def test_what_the_environment_says_of_proxies_and_certificates(
    shell: Shell, command: list[str], variable: str, value: str, said: str
) -> None:
    shell.use_folder()
    shell.set(SOURCE_URL="https://127.0.0.1:9/logs")
    shell.set(**{variable: value})
    shown = one_line(shell.failed(*command))
    assert said in shown
    assert CANARY not in shown
    shown = shell.run("doctor").stdout
    assert "FAIL  source: the source cannot be asked as" in shown


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"SOURCE_URL=https://h/\xff\n", "is not in UTF-8"), (b"SOURCE_URL=a\0b\n", "cannot be read")],
)
@pytest.mark.parametrize("command", [["init"], ["status"], ["poll"]], ids=" ".join)
def test_a_dotenv_that_cannot_be_read(shell: Shell, command: list[str], content: bytes, said: str) -> None:
    (shell.folder / ".env").write_bytes(content)
    assert said in one_line(shell.failed(*command))
    assert (shell.folder / ".env").read_bytes() == content


@pytest.mark.parametrize("name", ["LOG_ASSETS_HOME", "DAGSTER_HOME"])
def test_a_folder_of_settings_is_absolute_and_no_folder_is_called_by_a_tilde(shell: Shell, name: str) -> None:
    attribute = {"LOG_ASSETS_HOME": "home", "DAGSTER_HOME": "dagster_home"}[name]
    shell.set(HOME=str(shell.folder / "me"))
    for value, folder in {"~/x": shell.folder / "me/x", "here": shell.folder / "here", "/a": Path("/a")}.items():
        shell.set(**{name: value})
        assert getattr(Settings.load(), attribute) == folder
    for value, said in {"~nobody-here/x": "not there", "$HOME/x": "${NAME}"}.items():
        shell.set(**{name: value})
        assert said in one_line(shell.failed("status"))
    shell.monkeypatch.delenv(name)
    (shell.folder / ".env").write_text(f"{name}=~/x\n")
    shell.done("init")
    assert not (shell.folder / "~").exists()
    assert (shell.folder / "me/x").is_dir()


def test_up_hands_its_children_an_absolute_dagster_home(shell: Shell) -> None:
    shell.set(DAGSTER_HOME="its dagster")
    shell.done("init")
    shell.done("up", "--check", "--port", "65431")
    assert os.environ["DAGSTER_HOME"] == str(shell.folder / "its dagster")


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("LAKE_URL", "file:///a#b"),
        ("LAKE_URL", "file:///a?b"),
        ("LAKE_URL", "file:///a?"),
        ("LAKE_URL", "s3://bucket/a#b"),
        ("LAKE_URL", "s3://bucket/a?kms_kye=alias/logs"),
        ("CATALOG_URL", "sqlite:///a#b/catalog.db"),
        ("CATALOG_URL", "sqlite:///a?b/catalog.db"),
        ("CATALOG_URL", "glue://database?x"),
        ("QUERY_URL", "duckdb://?x=y"),
        ("SOURCE_URL", "file:///a#b"),
        ("SOURCE_URL", "https://127.0.0.1:9/a#b"),
        ("SOURCE_URL", "demo://?sed=7"),
    ],
)
def test_nothing_of_a_url_is_cut_off_in_silence(shell: Shell, variable: str, url: str) -> None:
    shell.use_folder()
    shell.set(**{variable: url})
    shown = one_line(shell.failed("init"))
    assert variable in shown
    assert "?" not in url or "write it as %3F" in shown or "options that" in shown
    assert not (shell.folder / ".log_assets").exists()


def test_a_home_whose_name_a_url_would_cut_off(shell: Shell) -> None:
    shell.use_folder()
    shell.set(LOG_ASSETS_HOME="a?b#c%20d é", DAGSTER_HOME="its#dagster %é")
    shell.done("init")
    (shell.source / "a.json").write_bytes(body(shell.keyring, [record(1)]))
    shell.done("poll", "--once")
    assert [one["records"] for one in shell.status()["hours"]] == [1]
    assert json.loads(shell.done("query", "SELECT count(*) AS n FROM logs", "--format", "json")) == [{"n": 1}]
    assert "FAIL" not in shell.done("doctor")
    assert {one.name for one in shell.folder.iterdir()} == {".env", "a?b#c%20d é", "its#dagster %é", "source"}
    for name, part in {"its?dagster": "?", "its%20dagster": "%20"}.items():
        shell.set(DAGSTER_HOME=name)
        for command in (["up", "--check"], ["init"], ["backfill", "--from", H0, "--to", H0]):
            assert f"holds a {part}, which Dagster" in one_line(shell.failed(*command))
        assert f"FAIL  dagster: Dagster's folder {shell.folder / name}" in shell.run("doctor").stdout
    assert not (shell.folder / "its").exists()


@pytest.mark.parametrize("port", ["0", "99999", "-1"])
@pytest.mark.parametrize("command", ["up", "demo-source"])
def test_a_port_that_is_none_is_wrong_usage(shell: Shell, command: str, port: str) -> None:
    assert "1<=x<=65535" in shell.failed(command, "--port", port, code=2)


LONG = "SELECT count(*) AS n FROM UNNEST(sequence(1, 3000000)) a(x) CROSS JOIN UNNEST(sequence(1, 3000000)) b(y) "


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_query_that_is_broken_off_says_no_more_than_that(shell: Shell, number: signal.Signals) -> None:
    shell.use_folder()
    shell.done("init")
    started = shell.folder / "started"
    code = (
        # A shell's background job, as these tests may be, ignores SIGINT, and so would this.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import pathlib; from log_assets.query import embedded; before = embedded.EmbeddedEngine._prepare\n"
        f"def prepare(*a): before(*a); pathlib.Path({str(started)!r}).touch()\n"
        "embedded.EmbeddedEngine._prepare = prepare\n"
        "from log_assets.commands.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "query", f"{LONG}WHERE x * y % 7 = 3"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            end = time.monotonic() + 30
            while not started.exists():
                assert time.monotonic() < end
                time.sleep(0.02)
            # DuckDB takes the signal for itself once the query runs.
            time.sleep(1.5)
            process.send_signal(number)
            out, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (out, said.strip(), process.returncode) == ("", "Aborted!", 1)


def raising(error: Callable[[], BaseException]) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error()

    return fail


UNFORESEEN = {
    "a ValueError": lambda: ValueError(f"no {URL} {os.environ['f_key']} {CANARY} o7h3r!@one o7h3r%21%40one"),  # noqa: SIM112
    "a URL of elsewhere": lambda: ValueError("GET ftp://me:o7h3r@host/a?x=o7h3r failed"),
    "a header": lambda: KeyError("Authorization: Bearer o7h3r.o7h3r"),
    "a Fernet token": lambda: TypeError(f"gAAAAABo7h3r{'x' * 40}"),
    "an OSError": lambda: OSError(28, "No space left on device", f"/x/{CANARY}"),
    "a RecursionError": RecursionError,
    "a MemoryError": MemoryError,
    "an ImportError": lambda: ImportError(f"cannot import {CANARY}"),
}


@pytest.mark.parametrize("name", UNFORESEEN)
@pytest.mark.parametrize("home", [True, False], ids=["with a home", "without a home"])
def test_what_nobody_foresaw_is_one_line_and_a_file(
    shell: Shell, name: str, home: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.use_folder()
    shell.set(TMPDIR=str(shell.folder / "tmp"), THEIR_TOKEN=CANARY)
    monkeypatch.setattr("tempfile.tempdir", None)
    (shell.folder / "tmp").mkdir()
    if home:
        shell.done("init")
    shell.set(SOURCE_URL=URL)
    monkeypatch.setattr("log_assets.steps.audit.status", raising(UNFORESEEN[name]))
    monkeypatch.setattr("log_assets.ports.Ports.lake", lambda *_: None)
    monkeypatch.setattr("log_assets.ports.Ports.catalog", lambda *_: None)
    monkeypatch.setattr("log_assets.steps.health.capture_health", lambda *_, **__: None)
    shown = one_line(shell.failed("status"))
    assert CANARY not in shown
    assert "please report it" in shown
    found = re.search(r"send (\S+),", shown)
    assert found
    file = Path(found[1])
    assert file.is_relative_to(shell.folder / (".log_assets/errors" if home else "tmp"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert "Traceback (most recent call last)" in text
    assert type(UNFORESEEN[name]()).__name__ in text
    assert [one for one in (CANARY, "o7h3r") if one in text] == []
    assert os.environ["f_key"] not in text  # noqa: SIM112
    debug = shell.run("--debug", "status").stderr
    assert "Traceback (most recent call last)" in debug
    assert [one for one in (CANARY, "o7h3r") if one in debug] == []
    # The same again is no second file: a program that is restarted for ever fills no disk.
    assert not home or len(list(file.parent.iterdir())) == 1


def test_where_no_file_can_be_written_the_line_says_how_to_see_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.use_folder()
    shell.done("init")
    (shell.folder / ".log_assets/errors").write_text("in the way")
    monkeypatch.setattr("log_assets.steps.audit.status", raising(lambda: ValueError("x")))
    assert "--debug" in one_line(shell.failed("status"))


def test_a_reader_that_has_enough_is_no_error(shell: Shell) -> None:
    shell.use_folder()
    shell.done("init")
    numbers = "SELECT x FROM UNNEST(sequence(1, 300000)) a(x)"
    typed = f'"{sys.executable}" -m log_assets query "{numbers}" --format csv | head -1'
    done = subprocess.run(["sh", "-c", typed], capture_output=True, text=True, check=False)
    assert done.stdout == '"x"\n'
    assert "unforeseen" not in done.stderr
    assert "Traceback" not in done.stderr
