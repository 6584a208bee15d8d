"""Tidy: remove what the published generations have made superfluous. The only step that deletes.

Never touched: an hour that is stale, an hour published within `GRACE` (queries that began before may still read the
old generation), the generation a partition points at, and anything that holds rows which it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from log_assets.catalog import Catalog, Partition
from log_assets.hour import Hour
from log_assets.lake import Entry, Lake, layout
from log_assets.steps.compact import folded, manifests
from log_assets.steps.transform import with_rejects

GRACE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Tidied:
    """How many objects went; `staged` are what killed writes left."""

    rows: int = 0
    generations: int = 0
    windows: int = 0
    staged: int = 0


def tidy(lake: Lake, catalog: Catalog, now: datetime, raw_days: int | None = None) -> Tidied:
    """Remove folded rows files and superseded generations; with `raw_days`, old windows that have a receipt too.

    Args:
        lake, catalog: the ports.
        now: the pipeline's clock (aware); the store's own is asked as well, and the later publication counts.
        raw_days: windows put more than so many days ago go, unless some of their records are still rejected.
    """
    store_now = lake.now()
    rows = generations = 0
    for partition in list(catalog.partitions()):
        if now - partition.published < GRACE:
            continue
        removed = _tidy_hour(lake, catalog, partition, store_now)
        rows += removed[0]
        generations += removed[1]
    windows = _tidy_windows(lake, store_now - timedelta(days=raw_days)) if raw_days is not None else 0
    probes = [entry.key for entry in lake.entries(layout.PROBE) if store_now - entry.modified > GRACE]
    lake.delete(probes)
    return Tidied(rows, generations, windows, lake.sweep(store_now - GRACE) + len(probes))


def _tidy_hour(lake: Lake, catalog: Catalog, partition: Partition, store_now: datetime) -> tuple[int, int]:
    hour = partition.hour
    # Generations are listed before the rows and the catalog: a compaction that began later than this listing
    # makes generations that are not in it.
    by_digest: dict[str, list[Entry]] = {}
    for entry in lake.entries(f"{layout.COMPACT}/{hour}"):
        by_digest.setdefault(entry.key.split("/")[2], []).append(entry)
    rows = [entry.key for entry in lake.entries(f"{layout.ROWS}/{hour}")]
    if len(by_digest) <= 1 and not rows:
        return 0, 0
    if catalog.get([hour]).get(hour) != partition:
        return 0, 0
    current = by_digest.get(partition.digest, [])
    if not current or any(store_now - entry.modified < GRACE for entry in current):
        return 0, 0
    done = folded(lake, partition)
    if not done.issuperset(rows):
        return 0, 0

    superseded = []
    for digest, entries in by_digest.items():
        if digest == partition.digest or any(store_now - entry.modified < GRACE for entry in entries):
            continue
        # One without a manifest was never whole, and the rows it was made of are all folded by now.
        if all(done.issuperset(generation.rows) for generation in manifests(lake, hour, digest)):
            superseded.append(entries)
    for entries in superseded:
        # Manifests go last, so that an interrupted tidy leaves a generation that still tells what it was.
        lake.delete(entry.key for entry in sorted(entries, key=lambda entry: "/_manifest-" in entry.key))
    lake.delete(rows)
    return len(rows), len(superseded)


def _tidy_windows(lake: Lake, before: datetime) -> int:
    last = Hour.of(before)
    done = {layout.window_of(entry.key) for entry in lake.entries(layout.RECEIPTS)}
    kept = {receipt.window for receipt in with_rejects(lake)}
    old = []
    for hour in lake.folders(layout.RAW):
        if hour > last:
            break
        for entry in lake.entries(f"{layout.RAW}/{hour}"):
            window = layout.name_of(entry.key)
            if entry.modified < before and window in done and window not in kept:
                old.append(entry.key)
    lake.delete(old)
    return len(old)
