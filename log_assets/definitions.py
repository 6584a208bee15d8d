"""The only place that wires: settings, resources, assets, checks and automation, as Dagster loads them."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from log_assets.defs.assets import build_assets, partitions
from log_assets.defs.jobs import CHECKS_ALONE, FETCH, HOURS, tidy_job
from log_assets.defs.keys import CHECK_JOB
from log_assets.defs.liveness import capture_is_alive, freshness
from log_assets.defs.resources import resources
from log_assets.defs.sensors import Rules, build_sensor
from log_assets.ports import Ports
from log_assets.settings import DOTENV, Settings


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
    check = dg.define_asset_job(
        CHECK_JOB,
        selection=CHECKS_ALONE,
        # With `partitions_def` alone a job of nothing but checks has no partitions.
        config=dg.PartitionedConfig(partitions(first), run_config_for_partition_key_fn=lambda _: {}),
        description="Checks hours again, and changes nothing.",
    )
    return dg.Definitions(
        assets=[build_assets(first, query_hint(), fresh)],
        asset_checks=[capture_is_alive],
        jobs=[HOURS, FETCH, check, tidy_job],
        sensors=[build_sensor(first, rules)],
        resources={**resources(Ports(settings)), **(resource_overrides or {})},
    )


def query_hint() -> str:
    """A query of the logs as one types it into any shell, in whichever folder it is."""
    command, folder = "log-assets", Path.cwd()
    # Who has a `.env` may stand elsewhere, and not have this installation on the path. Where settings come with the
    # environment, a folder alone would not lead to this lake.
    if (folder / DOTENV).exists():
        command = f"cd {shlex.quote(str(folder))} && {shlex.quote(str(Path(sys.executable).parent / command))}"
    return " ".join([command, "query", '"SELECT * FROM logs LIMIT 5"'])


@dg.definitions
def defs() -> dg.Definitions:
    """Called by Dagster when it loads this module's definitions; importing it does nothing."""
    return build_defs()
