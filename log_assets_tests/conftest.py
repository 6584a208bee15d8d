"""Fixtures that more than one room of the tests needs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from log_assets.records.token import Keyring
from log_assets_tests.kit import Kit
from log_assets_tests.world import World


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
