"""The jobs: hours to publish, hours to fetch and publish, and the daily tidy."""

from datetime import UTC, datetime

import dagster as dg

from log_assets.defs.keys import COMPACT_LOGS, FETCH_JOB, HOURS_JOB, LOGS_TABLE, RAW_LOGS, TIDY_JOB
from log_assets.defs.liveness import CAPTURE_ALIVE
from log_assets.ports import Ports
from log_assets.steps.tidy import tidy

_ALL = (RAW_LOGS, COMPACT_LOGS, LOGS_TABLE)
# That of capture is of now, and not of hours.
_CHECKS = dg.AssetSelection.checks_for_assets(*_ALL) - dg.AssetSelection.checks(CAPTURE_ALIVE)

HOURS = dg.define_asset_job(
    HOURS_JOB,
    selection=dg.AssetSelection.assets(COMPACT_LOGS, LOGS_TABLE) | _CHECKS,
    description="Compacts, publishes and checks hours.",
)
FETCH = dg.define_asset_job(
    FETCH_JOB,
    selection=dg.AssetSelection.assets(*_ALL) | _CHECKS,
    description="Asks the source for hours first, then compacts, publishes and checks them.",
)

CHECKS_ALONE = dg.AssetSelection.checks_for_assets(*_ALL)
"""What the job that checks hours again selects; it has no partitions of its own, and is given them in `definitions`."""


@dg.op(description="Removes rows files and generations that the published ones have made superfluous.")
def tidy_lake(context: dg.OpExecutionContext, ports: dg.ResourceParam[Ports]) -> None:
    done = tidy(ports.lake(), ports.catalog(), datetime.now(UTC))
    context.log.info(
        f"removed {done.rows} rows files, {done.generations} generations, {done.staged} half-written files"
    )
    for problem in done.problems:
        context.log.error(problem)


@dg.job(name=TIDY_JOB, description="Once a day, asked for by the sensor.")
def tidy_job() -> None:
    tidy_lake()
