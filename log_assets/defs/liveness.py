"""Whether records come in now: a check of capture that needs no run, and how old an asset may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from log_assets.defs.keys import RAW_LOGS
from log_assets.hour import Hour
from log_assets.ports import Ports
from log_assets.steps.health import Health, capture_health

CAPTURE_ALIVE = dg.AssetCheckKey(RAW_LOGS, "capture_is_alive")

# With REFRESH_MINUTES=0 hours are compacted at their close alone.
_AT_CLOSE = timedelta(minutes=65)


@dg.asset_check(
    asset=RAW_LOGS,
    name=CAPTURE_ALIVE.name,
    description=(
        "Some capturer polls, and the source answers it, by what the lake says now. The sensor looks at every tick; it "
        "is shown anew when it turns, and once an hour."
    ),
)
def capture_is_alive(ports: dg.ResourceParam[Ports]) -> dg.AssetCheckResult:
    now = datetime.now(UTC)
    found = _health(ports, now)
    return dg.AssetCheckResult(
        passed=not found.problem,
        description=found.said(now),
        metadata=_told(found),
    )


def evaluation(ports: Ports, now: datetime) -> tuple[str, dg.AssetCheckEvaluation]:
    """The check as the sensor reports it, and a word for its state that is another one when it is to be shown anew.

    It has no partition: a second report of one partition, without a run, is a duplicate to Dagster's database.
    """
    found = _health(ports, now)
    alive = dg.AssetCheckEvaluation(
        asset_key=RAW_LOGS,
        check_name=CAPTURE_ALIVE.name,
        passed=not found.problem,
        description=found.said(now),
        metadata=_told(found),
    )
    return f"{Hour.of(now)} {'bad' if found.problem else 'good'}", alive


def freshness(refresh: timedelta) -> dg.FreshnessPolicy:
    """Warns when two refreshes of the hour in progress brought nothing, fails when four did."""
    every = refresh or _AT_CLOSE
    return dg.FreshnessPolicy.time_window(warn_window=2 * every, fail_window=4 * every)


def _health(ports: Ports, now: datetime) -> Health:
    return capture_health(ports.lake(), now, wanted=ports.settings.must_be_captured)


def _told(found: Health) -> dict[str, Any]:
    told: dict[str, Any] = {
        "polls_in_this_hour": dg.MetadataValue.int(found.polls),
        "failed_polls_in_this_hour": dg.MetadataValue.int(found.failures),
    }
    if found.last_good:
        told["last_good_poll"] = dg.MetadataValue.timestamp(found.last_good)
    return told
