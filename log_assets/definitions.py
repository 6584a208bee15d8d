"""The only place that wires: settings, resources, assets, checks and automation, as Dagster loads them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from log_assets.defs.assets import build_assets
from log_assets.defs.jobs import FETCH, HOURS, tidy_job
from log_assets.defs.liveness import capture_is_alive, freshness
from log_assets.defs.resources import resources
from log_assets.defs.sensors import Rules, build_sensor
from log_assets.ports import Ports
from log_assets.settings import Settings


def build_defs(
    resource_overrides: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    rules: Rules | None = None,
) -> dg.Definitions:
    """Everything Dagster has to know.

    Args:
        resource_overrides: resources to use in place of those the settings name.
        settings: in place of the environment's.
        rules: the sensor's pace, in place of the settings'.

    Raises:
        SettingError: a setting is malformed.
    """
    # Checks with partitions are in preview; the tests hold what is used of them.
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    settings = settings or Settings.load()
    rules = rules or Rules(refresh=timedelta(minutes=settings.refresh_minutes))
    first = settings.first_hour(datetime.now(UTC))
    # A source that is asked for its history, or a folder, may bring nothing for long.
    fresh = freshness(rules.refresh) if settings.must_be_captured or settings.is_demo else None
    return dg.Definitions(
        assets=[build_assets(first, fresh)],
        asset_checks=[capture_is_alive],
        jobs=[HOURS, FETCH, tidy_job],
        sensors=[build_sensor(first, rules)],
        resources={**resources(Ports(settings)), **(resource_overrides or {})},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Called by Dagster when it loads this module's definitions; importing it does nothing."""
    return build_defs()
