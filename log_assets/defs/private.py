"""Every private name and every tag of Dagster's that this project uses: why, what stands in the way, the way out.

Ruff forbids `dagster._` everywhere else (TID251), and pyproject pins the minor version, since a private name may go
with any. "A new version of Dagster" in docs/architecture.md tells how to move on: change the pin, run the tests of
`defs`, and try each way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import dagster as dg

# Why: a check result that is logged, not yielded, has to name the materialization that it judged itself; a yielded one
# has no partition in a range run (dagster#17005). Way out: `AssetCheckResult(partition_key=…)` in range runs.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as CheckTarget,
)

# Why: a backfill that was asked for in the UI has no runs yet, and its hours must not be asked for a second time.
# `DagsterInstance.get_backfills` is public and its filter is not exported. Way out: the filter's export.
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

# Why: the type of what a failed step carries, to read which hours failed. Way out: its export.
from dagster._core.execution.plan.objects import StepFailureData

# Why: a run in this process captures what the process writes, and with it the progress bar of the command line, which
# then stands still. What captures nothing is documented for dagster.yaml only, which is for runs everywhere; and an
# instance with one setting of its own is made by its reference. Way out: overrides for `DagsterInstance.from_config`.
from dagster._core.instance.ref import InstanceRef

# Why: Dagster writes a row for each check and hour that a run intends to evaluate, and shows the newest row of a check
# as its state: a cancelled run's is a check that did not run, for ever. Way out: it shows the newest evaluation.
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

if TYPE_CHECKING:
    from dagster._core.workspace.context import IWorkspaceProcessContext

__all__ = [
    "DAEMON_MODULE",
    "PARTITION_TAG",
    "RANGE_END_TAG",
    "RANGE_START_TAG",
    "CheckTarget",
    "StepFailureData",
    "cancelled_backfills",
    "forget_planned_checks",
    "instance_without_capture",
    "latest_materializations",
    "requested_backfills",
    "workspace_process",
]

# Hardcoded rather than imported: the constants live in `dagster._core.storage.tags`, but the strings are documented
# (guides: "Partitioned assets", single-run backfills) and stand in every stored run. A range can be given to a run by
# these tags alone (dagster#34096). Way out: a range argument of `RunRequest` and `execute_in_process`.
PARTITION_TAG = "dagster/partition"
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"

# What `dagster-daemon` runs. As a module it is this interpreter's, whatever PATH says. Way out: `python -m dagster
# daemon`, should there be one.
DAEMON_MODULE = "dagster._daemon"


_NO_CAPTURE = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


def instance_without_capture(home: str) -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME; what its runs in this process print goes where it would without Dagster."""
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(home, overrides={"compute_logs": _NO_CAPTURE}))


def requested_backfills(instance: dg.DagsterInstance, asset: dg.AssetKey) -> list[list[str]]:
    """The partitions of `asset` that each backfill in progress is for."""
    found = []
    for backfill in instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
        data = backfill.asset_backfill_data
        if data and asset in data.target_subset.asset_keys:
            found.append(list(data.target_subset.get_partitions_subset(asset).get_partition_keys()))
    return found


def cancelled_backfills(
    instance: dg.DagsterInstance, asset: dg.AssetKey, limit: int
) -> list[tuple[float | None, list[str]]]:
    """When the newest cancelled backfills ended, None for not yet, and the partitions of `asset` they were for."""
    statuses = [BulkActionStatus.CANCELING, BulkActionStatus.CANCELED]
    found = []
    for backfill in instance.get_backfills(filters=BulkActionsFilter(statuses=statuses), limit=limit):
        data = backfill.asset_backfill_data
        if data and asset in data.target_subset.asset_keys:
            partitions = list(data.target_subset.get_partitions_subset(asset).get_partition_keys())
            found.append((backfill.backfill_end_timestamp, partitions))
    return found


def forget_planned_checks(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove what a finished run intended to check and did not: its rows among the evaluations, not its events."""
    storage, table = instance.event_log_storage, AssetCheckExecutionsTable
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            connection.execute(table.delete().where(table.c.run_id == run_id, table.c.execution_status == "PLANNED"))


def latest_materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: Sequence[str], at_once: int
) -> dict[str, CheckTarget]:
    """The latest materialization of each partition that has one, as a check's target.

    `fetch_materializations` gives the newest of all partitions, not of each: for the newest of many partitions there is
    only the storage's own method. Way out: a public one.
    """
    storage = instance.event_log_storage
    latest = storage.get_latest_storage_id_by_partition(
        asset, dg.DagsterEventType.ASSET_MATERIALIZATION, set(partitions)
    )
    found = {}
    ids = list(latest.values())
    for start in range(0, len(ids), at_once):
        wanted = dg.AssetRecordsFilter(asset_key=asset, storage_ids=ids[start : start + at_once])
        for record in instance.fetch_materializations(wanted, limit=at_once).records:
            if record.partition_key:
                found[record.partition_key] = CheckTarget(
                    storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
                )
    return found


def workspace_process(
    instance: dg.DagsterInstance, module: str, *, read_only: bool
) -> AbstractContextManager[IWorkspaceProcessContext[Any]]:
    """What Dagster's web application is made over: the definitions of `module`, in a process of their own.

    `dagster_webserver.app` is public, what it is given is not; `dagster-webserver` itself can't be wrapped in anything.
    Imported here, since only the web server needs it. Way out: a public way to that application, or one to add to it.
    """
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import ModuleTarget

    target = ModuleTarget(module, attribute=None, working_directory=None, location_name=None)
    return WorkspaceProcessContext(instance, target, version=dg.__version__, read_only=read_only)
