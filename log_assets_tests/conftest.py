"""Fixtures that more than one room of the tests needs."""

from pathlib import Path

import pytest

from log_assets_tests.kit import Kit


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
