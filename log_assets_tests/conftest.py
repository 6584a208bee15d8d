"""Fixtures that more than one room of the tests needs."""

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from log_assets.records.token import Keyring
from log_assets.settings import WITHOUT_KEY
from log_assets_tests.account import Account
from log_assets_tests.athena_server import AthenaServer, WorkGroup, athena
from log_assets_tests.aws_local import CREDENTIALS, moto
from log_assets_tests.aws_proxy import proxy
from log_assets_tests.kit import CONFORMANCE, Kit
from log_assets_tests.maven import NoJava
from log_assets_tests.shell import Shell
from log_assets_tests.trino_server import trino
from log_assets_tests.world import World

# As `make test-trino` asks for it.
WHOLE_TIER = "trino or conformance"
ENGINES = ("duckdb", "trino", "athena")
LEAST_CASES = 100


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """moto's server on a free port of 127.0.0.1: the APIs of S3 and Glue; or what a Trino at TRINO_URL reads."""
    if "TRINO_URL" in os.environ:
        yield os.environ["AWS_ENDPOINT_URL"]
        return
    with moto() as url:
        yield url


@pytest.fixture
def aws(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The environment of an account with an empty bucket; gives the bucket's name."""
    for name, value in {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_CONFIG_FILE": str(tmp_path / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-aws-credentials"),
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"logs-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return bucket


@pytest.fixture(scope="session")
def trino_url(aws_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Trino: one of these tests' own, or a running one at TRINO_URL (see `make aws-local`)."""
    if "TRINO_URL" in os.environ:
        yield os.environ["TRINO_URL"]
        return
    try:
        with trino(tmp_path_factory.mktemp("trino"), aws_endpoint) as url:
            yield url
    except NoJava as missing:
        pytest.exit(str(missing), returncode=1)


@pytest.fixture
def athena_server(aws: str, trino_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[AthenaServer]:
    """Athena's API in front of that Trino, with a workgroup `logs`."""
    with athena(trino_url) as (server, endpoint):
        monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", endpoint)
        monkeypatch.setattr("log_assets.query.athena._POLL_SECONDS", 0.05)
        server.workgroups["logs"] = WorkGroup(f"s3://{aws}/athena-results/")
        yield server


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(tmp_path, monkeypatch)


@pytest.fixture
def cloud(aws: str, tmp_path: Path) -> Kit:
    """A pipeline with its lake in a bucket and its catalog in Glue."""
    return Kit.in_cloud(tmp_path, aws)


@pytest.fixture
def account(aws: str, aws_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with proxy(aws_endpoint) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.setenv("AWS_RETRY_MODE", "standard")
        yield Account(tmp_path, monkeypatch, aws, between)


class Conformance:
    """Counts the comparisons on each engine; when the tier is asked for whole, every engine must have had them all."""

    def __init__(self, config: pytest.Config) -> None:
        narrowed = config.option.keyword or config.option.deselect or config.args_source is config.ArgsSource.ARGS
        self._whole = config.option.markexpr == WHOLE_TIER and not narrowed
        self.cases: Counter[str] = Counter()
        self.empty: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            for name, value in report.user_properties:
                if name == CONFORMANCE:
                    engine, _, rows = str(value).partition(" ")
                    self.cases[engine] += 1
                    self.empty[engine] += rows == "0"

    @property
    def _missing(self) -> list[str]:
        most = max([*self.cases.values(), LEAST_CASES])
        return [engine for engine in ENGINES if self.cases[engine] < most]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._whole and self._missing and not session.config.option.collectonly:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for engine in sorted(self.cases):
            terminalreporter.write_line(
                f"conformance: {self.cases[engine]} cases on {engine}, {self.empty[engine]} of them say that they "
                "expect no row"
            )
        if self._whole and self._missing:
            terminalreporter.write_line(
                f"conformance: too few cases ran on {', '.join(self._missing)}: this tier must not be skipped", red=True
            )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Conformance(config))


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the shell's, and no `.env` of the checkout's, reaches a test."""
    for name in ("SOURCE_URL", "f_key", "LAKE_URL", "CATALOG_URL", "QUERY_URL", "LOG_ASSETS_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("START_HOUR", "REFRESH_MINUTES", "SOURCE_ALLOW_HTTP", "WORKERS", "ALLOWED_HOSTS", WITHOUT_KEY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("SOURCE_URL", "LOG_ASSETS_HOME", "START_HOUR", "REFRESH_MINUTES", "f_key"):
        monkeypatch.setenv(name, "")
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        made = World(tmp_path, instance)
        made.kit.clock = datetime.now(UTC)
        key = Keyring.generate()
        made.kit.keyring = Keyring.parse(key)
        monkeypatch.setenv("f_key", key)
        yield made
