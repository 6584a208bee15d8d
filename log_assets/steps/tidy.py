"""Tidy: remove what the published generations have made superfluous. The only step that deletes.

Never touched: an hour that is stale, an hour published within `GRACE` (queries that began before may still read the
old generation), the generation a partition points at, and anything that holds rows which it lacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from log_assets.catalog import Catalog, Partition
from log_assets.errors import Damaged, NotFound, Unreadable
from log_assets.hour import Hour
from log_assets.lake import Entry, Lake, layout, listing
from log_assets.steps import generations
from log_assets.steps.generations import HourState
from log_assets.steps.receipts import with_rejects

GRACE = timedelta(hours=24)

# Hours whose listings are held at once.
_HOURS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Tidied:
    """How many objects went; `staged` are what killed writes left. Hours with an object that could not be read are left
    as they are, and told in `problems`."""

    rows: int = 0
    generations: int = 0
    windows: int = 0
    staged: int = 0
    problems: tuple[str, ...] = ()


def tidy(lake: Lake, catalog: Catalog, now: datetime, raw_days: int | None = None) -> Tidied:
    """Remove folded rows files and superseded generations; with `raw_days`, old windows that have a receipt too.

    Args:
        lake, catalog: the ports.
        now: the pipeline's clock (aware); the store's own is asked as well, and the later publication counts.
        raw_days: windows put more than so many days ago go, unless some of their records are still rejected.
    """
    store_now = lake.now()
    rows = superseded = 0
    problems: list[str] = []
    old = [partition for partition in catalog.partitions() if now - partition.published >= GRACE]
    for start in range(0, len(old), _HOURS_AT_ONCE):
        some = old[start : start + _HOURS_AT_ONCE]
        states = generations.read_to_delete(lake, catalog, [partition.hour for partition in some])
        for partition in some:
            try:
                removed = _tidy_hour(lake, states[partition.hour], partition, store_now)
            except (Damaged, Unreadable, NotFound) as error:
                problems.append(f"{partition.hour}: {error}")
                continue
            rows += removed[0]
            superseded += removed[1]
    windows = _tidy_windows(lake, store_now - timedelta(days=raw_days)) if raw_days is not None else 0
    listed = lake.entries(layout.PROBE)
    probes = [entry.key for entry in listed if layout.is_probe(entry.key) and store_now - entry.modified > GRACE]
    lake.delete(probes)
    staged = lake.remove_staged(store_now - GRACE) + len(probes)
    return Tidied(rows, superseded, windows, staged, tuple(problems))


def _tidy_hour(lake: Lake, state: HourState, partition: Partition, store_now: datetime) -> tuple[int, int]:
    """Gives how many rows files and generations were removed."""
    if (len(state.stored) <= 1 and not state.rows) or state.published != partition:
        return 0, 0
    if not state.current.entries or _any_is_new(state.current.entries, store_now):
        return 0, 0
    done = generations.folded_in_published(lake, state)
    rows = [entry.key for entry in state.rows]
    if not done.issuperset(rows):
        return 0, 0
    superseded = []
    for digest, stored in state.stored.items():
        if digest == partition.digest or _any_is_new(stored.entries, store_now):
            continue
        # One without a manifest was never whole, and the rows it was made of are all folded by now.
        if done >= generations.folded(lake, state.hour, digest, stored):
            superseded.append(stored)
    for stored in superseded:
        lake.delete(entry.key for entry in stored.entries)
    lake.delete(rows)
    return len(rows), len(superseded)


def _any_is_new(entries: Iterable[Entry], store_now: datetime) -> bool:
    return any(store_now - entry.modified < GRACE for entry in entries)


def _tidy_windows(lake: Lake, before: datetime) -> int:
    last = Hour.of(before)
    done = {layout.window_of(entry.key) for entry in listing.objects(lake, layout.RECEIPTS)}
    rejected = with_rejects(lake)
    kept = {receipt.window for receipt in rejected.found} | set(map(layout.window_of, rejected.failed))
    old = []
    for hour in listing.hours(lake, layout.RAW):
        if hour > last:
            break
        for entry in listing.objects(lake, layout.hour_folder(layout.RAW, hour)):
            window = layout.name_of(entry.key)
            if entry.modified < before and window in done and window not in kept:
                old.append(entry.key)
    lake.delete(old)
    return len(old)
