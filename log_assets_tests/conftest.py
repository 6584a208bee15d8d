"""Fixtures that more than one room of the tests needs."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import dagster as dg
import pytest
from moto.server import ThreadedMotoServer

from log_assets.records.token import Keyring
from log_assets_tests.kit import Kit
from log_assets_tests.world import World


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """moto's server on a free port of 127.0.0.1: the APIs of S3 and Glue."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The environment of an account with an empty bucket; gives the bucket's name."""
    for name, value in {
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_CONFIG_FILE": str(tmp_path / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-aws-credentials"),
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"logs-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return bucket


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the shell's, and no `.env` of the checkout's, reaches a test."""
    for name in ("SOURCE_URL", "f_key", "LAKE_URL", "CATALOG_URL", "QUERY_URL", "LOG_ASSETS_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("START_HOUR", "REFRESH_MINUTES", "SOURCE_ALLOW_HTTP"):
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
