"""The assets: raw_logs → compact_logs → logs_table, one partition an hour.

One op does all three, so that an hour that fails takes no other with it. Dagster buffers what an op yields and
loses it when the op raises, and a single run over a range of partitions has no way to mark one of them as failed
(dagster#17836); so each hour's materialization and check results are logged when they are done, and the op ends with
one `Failure` that names the hours that failed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from log_assets.defs import checks, metadata, runs
from log_assets.defs.hours_run import HoursRun, chunks
from log_assets.defs.keys import COMPACT_LOGS, LOGS_TABLE, RAW_LOGS
from log_assets.defs.private import PARTITION_TAG, RANGE_START_TAG
from log_assets.hour import PARTITION_FORMAT, Hour
from log_assets.ports import Ports

# Hours that are checked when none is chosen; the one in progress is materialized every few minutes.
_NEWEST_HOURS = 24
_NEWEST_READ = 500


def partitions(first: Hour) -> dg.HourlyPartitionsDefinition:
    """Hours from `first` on, in UTC; the hour in progress exists, and is queryable while it fills."""
    return dg.HourlyPartitionsDefinition(start_date=first, fmt=PARTITION_FORMAT, timezone="UTC", end_offset=1)


def _spec(
    key: dg.AssetKey,
    description: str,
    kinds: set[str],
    deps: Sequence[dg.AssetKey] = (),
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetSpec:
    # Skippable: the op logs its results itself and yields none.
    return dg.AssetSpec(
        key,
        description=description,
        kinds=kinds,
        deps=deps,
        metadata=metadata,
        group_name="web_logs",
        owners=["team:data-engineering"],
        skippable=True,
    )


def specs(ask: str) -> list[dg.AssetSpec]:
    """What exists, with the words a person reads in the UI; `ask` is the command that queries it."""
    return [
        _spec(
            RAW_LOGS,
            "Windows of encrypted records as the source showed them, and their rows by hour of the event. The "
            "capturer and the sensor keep it up to date; materializing an hour by hand asks the source for it.",
            {"python", "json"},
        ),
        _spec(
            COMPACT_LOGS,
            "One immutable gzip object an hour: the sorted set of its records, one line of JSON each, lossless. "
            "A late record makes a new generation; the one that is published never changes.",
            {"python", "json"},
            deps=[RAW_LOGS],
        ),
        _spec(
            LOGS_TABLE,
            "The hour as a partition of the table compact_logs, pointing at its newest generation. Query the "
            f"view logs for decoded columns: `{ask}`.",
            {"table", "sql"},
            deps=[COMPACT_LOGS],
            metadata={"dagster/column_schema": metadata.table_schema(), "dagster/table_name": "compact_logs"},
        ),
    ]


def build_assets(first: Hour, ask: str, fresh: dg.FreshnessPolicy | None = None) -> dg.AssetsDefinition:
    """The three assets and their checks, with partitions from `first` on.

    `ask` is a command that queries them, `fresh` says how old they may be.
    """
    partitions_def = partitions(first)

    @dg.multi_asset(
        name="hours",
        specs=[spec.replace_attributes(freshness_policy=fresh) if fresh else spec for spec in specs(ask)],
        check_specs=checks.specs(partitions_def),
        can_subset=True,
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def hours(
        context: dg.AssetExecutionContext, ports: dg.ResourceParam[Ports]
    ) -> Iterator[dg.MaterializeResult[None]]:
        is_ours = runs.is_this_process(context.run)
        context.instance.add_run_tags(context.run.run_id, runs.worker_tags(context.run.run_id))
        wanted = _wanted(context)
        with ports.pool() as pool:
            run = HoursRun(context, ports, pool)
            try:
                for some in run.fetched(wanted, first) if RAW_LOGS in context.selected_asset_keys else chunks(wanted):
                    run.hours(some)
                    run.check(to_come=some[-1] != wanted[-1])
            except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
                if is_ours:
                    # Ctrl+C at the command line is a person's word, as a cancellation in the UI is.
                    context.instance.report_run_canceling(context.run)
                run.break_off()
                raise
        # Every result was logged already; a generator that yields nothing keeps Dagster from adding its own.
        yield from ()
        run.end()

    return hours


def _wanted(context: dg.AssetExecutionContext) -> list[Hour]:
    """The hours that a run is for.

    Raises:
        Failure: it was launched without any, and is to make something. One that only checks takes the newest hours:
            "Execute all" of the UI's checks asks for none.
    """
    if context.run.tags.keys() & {PARTITION_TAG, RANGE_START_TAG}:
        return [Hour(partition) for partition in context.partition_keys]
    if context.selected_asset_keys:
        raise dg.Failure(
            "no hours were chosen: launch it with a partition, from an asset's Materialize… or a job's Partitions tab, "
            "or run log-assets backfill --from … --to …",
            allow_retries=False,
        )
    filters = dg.AssetRecordsFilter(asset_key=LOGS_TABLE)
    records = context.instance.fetch_materializations(filters, limit=_NEWEST_READ).records
    hours = dict.fromkeys(Hour(record.partition_key) for record in records if record.partition_key)
    found = sorted([*hours][:_NEWEST_HOURS])
    context.log.info(
        f"no hours were chosen: those that were materialized last are checked: {', '.join(found) or 'none'}"
    )
    return found
