"""Publish: point an hour's partition at its newest generation, by compare and set.

Any number of publications at once end in the union: whoever finds the partition moved, or rows come meanwhile,
compacts the hour again on top of what is published now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from log_assets.catalog import Catalog, Move, Moved, Partition
from log_assets.errors import CatalogError, LogAssetsError
from log_assets.hour import Clock, Hour
from log_assets.lake import Lake, layout
from log_assets.steps import generations
from log_assets.steps.compact import Compacted, compact_all, make_whole
from log_assets.steps.generations import HourState, Stored
from log_assets.steps.pool import Pool, serial_pool

_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Published:
    """An hour that is up to date: its partition, what was compacted for it, and whether the partition moved."""

    partition: Partition
    compacted: Compacted
    moved: bool


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
        hours: each once.
        now: the clock, aware, for the time of publication.
        compacted: what `compact` gave for them just now; the others are compacted first when they are stale.
        pool: shares the compactions.
    """
    outcome: dict[Hour, Published | LogAssetsError] = {}
    ready = dict(compacted or {})
    moved: set[Hour] = set()
    todo = list(hours)
    for _ in range(_ROUNDS):
        left = [hour for hour in todo if hour not in ready]
        for hour, made in zip(left, compact_all(lake, catalog, left, pool or serial_pool()), strict=True):
            if isinstance(made, LogAssetsError):
                outcome[hour] = made
            elif made.published and made.is_published:
                # Rows were listed before the catalog was read: nothing was new then, and nothing is left to verify.
                outcome[hour] = Published(made.published, made, hour in moved)
            else:
                ready[hour] = made
        todo = [hour for hour in todo if hour not in outcome]
        results = _move(lake, catalog, [ready[hour] for hour in todo], now)
        moved |= {hour for hour, result in results.items() if isinstance(result, tuple) and result[1]}
        try:
            states = generations.read_again(lake, todo)
        except LogAssetsError as error:
            return outcome | dict.fromkeys(todo, error)
        for hour in todo:
            if done := _verified(lake, states[hour], ready[hour], results[hour], has_moved=hour in moved):
                outcome[hour] = done
            else:
                del ready[hour]
        todo = [hour for hour in todo if hour not in outcome]
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
        if before and item.is_published:
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


def _verified(
    lake: Lake,
    state: HourState,
    item: Compacted,
    result: tuple[Partition, bool] | LogAssetsError | None,
    *,
    has_moved: bool,
) -> Published | LogAssetsError | None:
    """The hour's outcome; None when it is to be compacted again, on top of what others published or for rows that came
    meanwhile. Objects that a tidy may have taken before the partition moved are put back."""
    if result is None or isinstance(result, LogAssetsError):
        return result
    generation = item.generation
    try:
        if not state.stored.get(generation.digest, Stored()).is_whole:
            make_whole(lake, state, generation)
    except LogAssetsError as error:
        return error
    if not generation.rows.issuperset(entry.key for entry in state.rows):
        return None
    return Published(result[0], item, has_moved)
