"""Publish: point an hour's partition at its newest generation, by compare and set.

Any number of publications at once end in the union: whoever finds the partition moved, or rows come meanwhile,
compacts the hour again on top of what is published now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from log_assets.catalog import Catalog, Move, Moved, Partition
from log_assets.errors import CatalogError, LogAssetsError
from log_assets.hour import Hour
from log_assets.lake import Lake, layout
from log_assets.steps.compact import Compacted, compact_all, manifests, remake, rows_keys, rows_of
from log_assets.steps.pool import Pool, alone

_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Published:
    """An hour that is up to date: its partition, what was compacted for it, and whether the partition moved."""

    partition: Partition
    compacted: Compacted
    moved: bool


Clock = Callable[[], datetime]


def publish(
    lake: Lake,
    catalog: Catalog,
    hours: Sequence[Hour],
    now: Clock,
    compacted: Mapping[Hour, Compacted] | None = None,
    *,
    pool: Pool | None = None,
) -> dict[Hour, Published | LogAssetsError]:
    """Bring the partitions of `hours` up to date, each by itself: one that fails leaves the others done.

    Args:
        hours: without double ones.
        now: the clock, aware, for the time of publication.
        compacted: what `compact` gave for them just now; the others are compacted first when they are stale.
        pool: shares the compactions.
    """
    outcome: dict[Hour, Published | LogAssetsError] = {}
    ready = dict(compacted or {})
    moved: set[Hour] = set()
    todo = list(hours)
    for _ in range(_ROUNDS):
        outcome |= _prepare(lake, catalog, [hour for hour in todo if hour not in ready], ready, pool or alone())
        todo = [hour for hour in todo if hour not in outcome]
        results = _move(lake, catalog, [ready[hour] for hour in todo], now)
        try:
            listed = rows_of(lake, todo)
        except LogAssetsError as error:
            return outcome | dict.fromkeys(todo, error)
        again = []
        for hour in todo:
            result = results[hour]
            if isinstance(result, LogAssetsError):
                outcome[hour] = result
                continue
            if result is not None:
                partition, has_moved = result
                if has_moved:
                    moved.add(hour)
                try:
                    _make_whole(lake, ready[hour], partition)
                    # Whether no rows came since they were listed.
                    if ready[hour].generation.rows.issuperset(entry.key for entry in listed[hour]):
                        outcome[hour] = Published(partition, ready[hour], hour in moved)
                        continue
                except LogAssetsError as error:
                    outcome[hour] = error
                    continue
            del ready[hour]
            again.append(hour)
        todo = again
        if not todo:
            break
    for hour in todo:
        outcome[hour] = CatalogError(f"hour {hour} was moved by others {_ROUNDS} times in a row: publish it again")
    return outcome


def _move(
    lake: Lake, catalog: Catalog, ready: Sequence[Compacted], now: Clock
) -> dict[Hour, tuple[Partition, bool] | LogAssetsError | None]:
    """The partition of each hour and whether it moved; None where it was not as expected any more."""
    results: dict[Hour, tuple[Partition, bool] | LogAssetsError | None] = {}
    moves: dict[Hour, Move] = {}
    for item in ready:
        generation, before = item.generation, item.published
        if before and before.digest == generation.digest:
            results[generation.hour] = (before, False)
            continue
        location = lake.location(layout.generation_folder(generation.hour, generation.digest))
        partition = Partition(generation.hour, generation.digest, location, generation.summary, now())
        moves[generation.hour] = Move(before.digest if before else None, partition)
    try:
        moved = catalog.move(list(moves.values())) if moves else {}
    except CatalogError as error:
        return results | dict.fromkeys(moves, error)
    for hour, outcome in moved.items():
        match outcome:
            case Moved.DONE:
                results[hour] = (moves[hour].new, True)
            case Moved.CONFLICT:
                results[hour] = None
            case CatalogError():
                results[hour] = outcome
            case _:
                assert_never(outcome)
    return results


def _make_whole(lake: Lake, item: Compacted, partition: Partition) -> None:
    """Look whether both objects of the published generation are there; a tidy may have taken them before the move."""
    folder = layout.generation_folder(partition.hour, partition.digest)
    names = {layout.name_of(entry.key) for entry in lake.entries(folder)}
    if "logs" not in names or not any(name.startswith("_manifest-") for name in names):
        remake(lake, item.generation)


def _prepare(
    lake: Lake, catalog: Catalog, hours: Sequence[Hour], ready: dict[Hour, Compacted], pool: Pool
) -> dict[Hour, LogAssetsError]:
    """Add to `ready` a generation of each hour, compacted now if there is none that waits to be published."""
    failed: dict[Hour, LogAssetsError] = {}
    left: list[Hour] = []
    for hour in hours:
        try:
            found = _unpublished(lake, catalog, hour)
        except LogAssetsError as error:
            failed[hour] = error
            continue
        if found:
            ready[hour] = found
        else:
            left.append(hour)
    for hour, outcome in zip(left, compact_all(lake, catalog, left, pool), strict=True):
        if isinstance(outcome, LogAssetsError):
            failed[hour] = outcome
        else:
            ready[hour] = outcome
    return failed


def _unpublished(lake: Lake, catalog: Catalog, hour: Hour) -> Compacted | None:
    """A generation that was compacted but not yet published and holds all there is, so nothing need be done twice.

    A generation holds exactly the lines of its rows files; so one whose rows include the published one's rows
    includes its lines.
    """
    needed = set(rows_keys(lake, hour))
    published = catalog.get([hour]).get(hour)
    folder = f"{layout.COMPACT}/{hour}"
    for digest in lake.folders(folder):
        if published and digest == published.digest:
            continue
        found = manifests(lake, hour, digest)
        if not found or not lake.exists(layout.generation_key(hour, digest)):
            continue
        rows = frozenset().union(*(generation.rows for generation in found))
        if published:
            needed |= frozenset().union(*(g.rows for g in manifests(lake, hour, published.digest)))
        if rows >= needed:
            return Compacted(replace(found[-1], rows=rows), published, len(rows), found[-1].summary.records)
    return None
