"""No error or report shows more of a URL than scheme, host and path: a canary is walked through the commands."""

from __future__ import annotations

import pytest

from log_assets.errors import shown
from log_assets_tests.shell import Shell

CANARY = "c4n4ry"
KNOWN = ("http", "file", "s3", "sqlite", "glue", "duckdb", "athena", "trino")

SECRETS = [
    f"https://user:{CANARY}@127.0.0.1:9/logs",
    f"https://{CANARY}@127.0.0.1:9/logs",
    f"https://127.0.0.1:9/logs?token={CANARY}",
    f"https://127.0.0.1:9/logs?from={{start}}&to={{end}}&token={CANARY}",
    f"https://127.0.0.1:9/logs#{CANARY}",
    f"https://user:12/{CANARY}@127.0.0.1:9/logs",
    f"https://user:pa/{CANARY}@127.0.0.1:9/logs",
    f"https://user:12?{CANARY}@127.0.0.1:9/logs",
    f"https://user:12#{CANARY}@127.0.0.1:9/logs",
    f"https://user:{CANARY}@@127.0.0.1:9/logs",
    f"https://user:{CANARY}@127.0.0.1:99999/logs",
    f"https://user:{CANARY}@[::1/logs",
    f"https://user:{CANARY}@/logs",
    f"ftp://user:{CANARY}@host/x",
    f"{CANARY}://host/x",
    f"{CANARY}",
    f"s3://key:{CANARY}@bucket/prefix",
    f"s3://bucket/prefix?kms_key={CANARY}",
    f"s3://key:pa/{CANARY}@bucket/prefix",
    f"file://user:{CANARY}@host/x",
    f"glue://user:{CANARY}@database",
    f"sqlite://user:{CANARY}@host/catalog.db",
    f"athena://user:{CANARY}@workgroup",
    f"athena://workgroup?key={CANARY}",
    f"athena://user:pa/{CANARY}@workgroup",
    f"glue://user:pa/{CANARY}@database",
    f"duckdb://{CANARY}",
    f"trino://user:{CANARY}@127.0.0.1:9/lake",
    f"trino://user:{CANARY}@127.0.0.1/lake",
    f"trino://user:12/{CANARY}@127.0.0.1:9/lake",
    f"trino://127.0.0.1:9/lake?password={CANARY}",
]
# `doctor` opens every port, and asks each for something; the others print what they were about to do.
COMMANDS = (["doctor"], ["status"], ["query", "SELECT 1 AS a"])
OF_THE_SOURCE = (["doctor"], ["init"], ["poll", "--once"], ["up", "--check"])


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://host/path", "https://host/path"),
        ("https://user:pw@host:8443/a/b?c=d#e", "https://host:8443/a/b"),
        ("https://user:pw@host/a?mail=a@b", "https://host/a"),
        ("http://[::1]:3000/x", "http://[::1]:3000/x"),
        ("https://user:pw/x@host/path", "https://…"),
        ("https://user:12?x@host/path", "https://…"),
        ("https://user:12#x@host/path", "https://…"),
        ("file:///a folder/b@c", "file:///a folder/b@c"),
        ("s3://bucket/prefix?kms_key=x", "s3://bucket/prefix"),
        ("no url", "a text that is no URL"),
    ],
)
def test_what_is_shown_of_a_url(url: str, seen: str) -> None:
    assert shown(url) == seen


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        (variable, url)
        for variable, schemes in {
            "SOURCE_URL": ("http", "file"),
            "LAKE_URL": ("file", "s3"),
            "CATALOG_URL": ("sqlite", "glue"),
            "QUERY_URL": ("duckdb", "athena", "trino"),
        }.items()
        for url in SECRETS
        if url.startswith(schemes) or not url.startswith(KNOWN)
    ],
)
def test_no_command_shows_a_secret_of_a_url(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, variable: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    shell.use_folder()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "eu-central-1" if name == "AWS_REGION" else "none")
    # What has a working endpoint is not asked: it is refused at once.
    for name in ("AWS_ENDPOINT_URL", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    shell.set(**{variable: url})
    for command in OF_THE_SOURCE if variable == "SOURCE_URL" else COMMANDS:
        result = shell.run(*command)
        assert CANARY not in result.output, command
        assert CANARY not in result.stderr, command
        assert result.exception is None or isinstance(result.exception, SystemExit), command
    assert CANARY not in caplog.text


@pytest.mark.parametrize("url", [f"https://user:pa/{CANARY}@host/logs", f"https://user:{CANARY}@host:99999/logs"])
def test_a_url_that_cannot_be_told_apart_is_malformed(shell: Shell, url: str) -> None:
    shell.use_folder()
    shell.set(SOURCE_URL=url)
    assert "SOURCE_URL is malformed: it should be scheme://host:port/path" in shell.failed("poll", "--once")
