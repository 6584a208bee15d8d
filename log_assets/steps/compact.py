"""Compact: an hour's published generation united with the rows not yet in it, as a new generation.

Order of reading: the listing of `rows/<H>/` first, the catalog second. Rows that are listed but gone by the time they
are read were folded into a generation published since, so the hour is read again from the start.
Order of writing: lines, manifest; the partition is moved by `publish`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

import orjson

from log_assets.catalog import Catalog, Partition
from log_assets.errors import Damaged, LakeError, LogAssetsError, NotFound
from log_assets.hour import Hour, contiguous
from log_assets.lake import Entry, Lake, layout
from log_assets.records import lines, row
from log_assets.records.summary import Summary
from log_assets.steps.pool import Pool, WorkerDied, alone
from log_assets.steps.union import SortedSet, unite

_ATTEMPTS = 5
# Compressed bytes of an hour's rows from which on it uses the whole pool by itself, and of several hours' from which on
# they are shared among its processes.
_BIG = 8 << 20
_WORTH_SHARING = 2 << 20


@dataclass(frozen=True, slots=True)
class Generation:
    """An hour's immutable content: its digest, the rows files folded in, and the generation it came from."""

    hour: Hour
    digest: str
    rows: frozenset[str]
    previous: str | None
    summary: Summary

    @property
    def key(self) -> str:
        return layout.generation_key(self.hour, self.digest)


@dataclass(frozen=True, slots=True)
class Compacted:
    """The outcome of one compaction: the generation, how many of its rows files and lines are new, and a few lines."""

    generation: Generation
    published: Partition | None
    new_rows: int
    new_lines: int
    sample: tuple[bytes, ...] = ()


def rows_keys(lake: Lake, hour: Hour) -> list[str]:
    return [entry.key for entry in rows_of(lake, [hour])[hour]]


def rows_of(lake: Lake, hours: Iterable[Hour]) -> dict[Hour, list[Entry]]:
    """The rows files of each hour."""
    return _listed(lake, layout.ROWS, hours)


def _listed(lake: Lake, prefix: str, hours: Iterable[Hour]) -> dict[Hour, list[Entry]]:
    """The objects of each hour under a prefix; hours in a row are listed together."""
    found: dict[Hour, list[Entry]] = {}
    for some in contiguous(sorted(hours)):
        found |= {hour: [] for hour in some}
        if len(some) == 1:
            found[some[0]] = list(lake.entries(f"{prefix}/{some[0]}"))
            continue
        for entry in lake.entries(prefix, f"{prefix}/{some[0]}", some[-1]):
            found[layout.hour_of(entry.key)].append(entry)
    return found


def manifests(lake: Lake, hour: Hour, digest: str) -> list[Generation]:
    """Every manifest of one generation; none when it was written by half, or is gone."""
    return [
        _read_manifest(lake.get(entry.key), entry.key, hour, digest)
        for entry in lake.entries(layout.generation_folder(hour, digest))
        if "/_manifest-" in entry.key
    ]


def folded(lake: Lake, partition: Partition | None) -> frozenset[str]:
    """Keys of all rows files that the published generation holds, by the union of its manifests."""
    if partition is None:
        return frozenset()
    found = manifests(lake, partition.hour, partition.digest)
    return frozenset().union(*(generation.rows for generation in found))


def new_rows(lake: Lake, catalog: Catalog, hours: Iterable[Hour]) -> dict[Hour, list[str]]:
    """The stale ones among `hours`, each with the rows files that its published generation lacks."""
    listed = rows_of(lake, hours)
    published = catalog.get(listed)
    stale = {}
    for hour, entries in listed.items():
        done = folded(lake, published.get(hour))
        if new := [entry.key for entry in entries if entry.key not in done]:
            stale[hour] = new
    return stale


@dataclass(frozen=True, slots=True)
class _Work:
    """An hour as it was found: the listing of its rows, what was published then, and, when nothing was, the digests of
    whole generations: a catalog that lost its partition is no reason to lose what was in it."""

    hour: Hour
    rows: tuple[Entry, ...]
    published: Partition | None
    orphans: tuple[str, ...] = ()


def compact(lake: Lake, catalog: Catalog, hour: Hour, pool: Pool | None = None) -> Compacted:
    """Make sure that a generation with everything known of the hour exists; not yet published.

    An hour without any rows makes an empty generation.

    Raises:
        Damaged: a rows file or the published generation is not what its name promises.
        LakeError, CatalogError, WorkerDied: as the ports and the pool do.
    """
    (outcome,) = compact_all(lake, catalog, [hour], pool or alone())
    if isinstance(outcome, LogAssetsError):
        raise outcome
    return outcome


def compact_all(
    lake: Lake, catalog: Catalog, hours: Sequence[Hour], pool: Pool
) -> Iterator[Compacted | LogAssetsError]:
    """What `compact` gives for each hour, or why it failed, in order: hours are shared among the pool's processes,
    and so is a big hour itself."""
    try:
        works = _find(lake, catalog, hours)
    except LogAssetsError as error:
        yield from [error] * len(hours)
        return
    for some in _shares(works, pool):
        if len(some) == 1:
            yield _compact_one(lake, catalog, some[0], pool)
            continue
        try:
            outcomes = pool.map(partial(_compact_alone, lake), some)
            for work, outcome in zip(some, outcomes, strict=True):
                again = isinstance(outcome, NotFound)
                yield _compact_one(lake, catalog, work, pool) if again else outcome
        except WorkerDied as error:
            yield from [error] * len(some)


def _find(lake: Lake, catalog: Catalog, hours: Sequence[Hour]) -> list[_Work]:
    listed = rows_of(lake, hours)
    published = catalog.get(hours)
    orphans = _whole_generations(lake, [hour for hour in hours if hour not in published])
    return [_Work(hour, tuple(listed[hour]), published.get(hour), orphans.get(hour, ())) for hour in hours]


def _whole_generations(lake: Lake, hours: Sequence[Hour]) -> dict[Hour, tuple[str, ...]]:
    """The digests of each hour's generations that have both their objects."""
    names: dict[tuple[Hour, str], set[bool]] = {}
    for hour, entries in _listed(lake, layout.COMPACT, hours).items():
        for entry in entries:
            names.setdefault((hour, entry.key.split("/")[2]), set()).add("/_manifest-" in entry.key)
    found: dict[Hour, tuple[str, ...]] = {}
    for (hour, digest), kinds in names.items():
        if len(kinds) == 2:
            found[hour] = (*found.get(hour, ()), digest)
    return found


def _shares(works: Sequence[_Work], pool: Pool) -> Iterator[Sequence[_Work]]:
    """Hours in a row that are worth sharing, together; those that are not, or that use the whole pool, one by one."""
    for is_small, some in groupby(works, lambda work: _weight(work) <= _BIG):
        group = list(some)
        if is_small and pool.processes > 1 and sum(map(_weight, group)) >= _WORTH_SHARING:
            yield group
        else:
            yield from ([work] for work in group)


def _weight(work: _Work) -> int:
    """Compressed bytes that are read for an hour, at most."""
    before = work.published.summary.size if work.published and work.rows else 0
    return before + sum(entry.size for entry in work.rows)


def _compact_alone(lake: Lake, work: _Work) -> Compacted | LogAssetsError:
    try:
        return _compact(lake, work, alone())
    except LogAssetsError as error:
        return error


def _compact_one(lake: Lake, catalog: Catalog, work: _Work, pool: Pool) -> Compacted | LogAssetsError:
    for _ in range(_ATTEMPTS):
        try:
            return _compact(lake, work, pool)
        except NotFound as error:
            # Tidied or republished since it was listed; or gone for good, which the next round says again.
            gone = error
        except LogAssetsError as error:
            return error
        try:
            (work,) = _find(lake, catalog, [work.hour])
        except LogAssetsError as error:
            return error
    return LakeError(
        f"hour {work.hour}: {gone}: restore it from a copy, or transform its window again (log-assets requeue)"
    )


def _compact(lake: Lake, work: _Work, pool: Pool) -> Compacted:
    hour, published = work.hour, work.published
    before = folded(lake, published)
    orphans = [one for digest in work.orphans for one in manifests(lake, hour, digest)]
    before = before.union(*(one.rows for one in orphans))
    if published and not before and published.summary.records:
        _remake_published(lake, work, published)
        before = folded(lake, published)
    new = [entry for entry in work.rows if entry.key not in before]
    if published and not new:
        return Compacted(_generation_of(published, before), published, 0, 0)
    if not new and len(work.orphans) == 1:
        return Compacted(replace(orphans[0], rows=before), None, 0, 0)

    sets = [_rows_set(entry) for entry in new]
    sets += {one.digest: _generation_set(hour, one.digest, one.summary) for one in orphans}.values()
    if published and published.summary.records:
        sets.append(_generation_set(hour, published.digest, published.summary))
    united = unite(lake, sets, pool)
    packed = united.packed
    previous = published.digest if published else None
    if published and packed.digest == previous:
        summary = published.summary
    else:
        summary = Summary.of(united.records, united.ids, len(packed.data), packed.size, row.ROW_VERSION)
        lake.put(layout.generation_key(hour, packed.digest), packed.data)
    generation = Generation(hour, packed.digest, before.union(entry.key for entry in new), previous, summary)
    content = _manifest(generation)
    lake.put(layout.manifest_key(hour, packed.digest, lines.digest(content)), content)
    known = published.summary.records if published else 0
    return Compacted(generation, published, len(new), united.records - known, united.first)


def _remake_published(lake: Lake, work: _Work, published: Partition) -> None:
    """Someone removed the published generation: its rows files may still be there, and others that came since."""
    everything = frozenset(entry.key for entry in work.rows)
    landed_before = frozenset(
        key for key in everything if layout.window_landed(layout.window_of(key)) <= published.published
    )
    for keys in {everything: None, landed_before: None}:
        try:
            return remake(lake, Generation(work.hour, published.digest, keys, None, published.summary))
        except NotFound as error:
            gone = error
    raise gone


def remake(lake: Lake, generation: Generation) -> None:
    """Put the objects of a generation back, from its rows files and the generation it came from.

    Raises:
        NotFound: they are gone too, or make other lines: nothing is put that is not exactly what was lost.
    """
    listed = rows_of(lake, [generation.hour])[generation.hour]
    sets = [_rows_set(entry) for entry in listed if entry.key in generation.rows]
    if generation.previous:
        found = manifests(lake, generation.hour, generation.previous)
        sets += [_generation_set(generation.hour, generation.previous, one.summary) for one in found[:1]]
    packed = unite(lake, sets, alone()).packed
    if packed.digest != generation.digest:
        raise NotFound(f"the published generation {generation.key} is gone, and its rows files do not make it again")
    lake.put(generation.key, packed.data)
    content = _manifest(generation)
    lake.put(layout.manifest_key(generation.hour, generation.digest, lines.digest(content)), content)


def _rows_set(entry: Entry) -> SortedSet:
    return SortedSet(entry.key, layout.digest_of(entry.key), layout.row_version_of(entry.key), entry.size)


def _generation_set(hour: Hour, digest: str, summary: Summary) -> SortedSet:
    return SortedSet(layout.generation_key(hour, digest), digest, summary.row_version, summary.size)


def read_generation(lake: Lake, hour: Hour, digest: str) -> list[bytes]:
    """A generation's lines, checked against its digest. Raises `Damaged` or `NotFound`, naming the object."""
    key = layout.generation_key(hour, digest)
    return lines.split(lines.unpack(lake.get(key), digest, key))


def _generation_of(partition: Partition, rows: frozenset[str]) -> Generation:
    return Generation(partition.hour, partition.digest, rows, None, partition.summary)


def _manifest(generation: Generation) -> bytes:
    data: dict[str, Any] = {
        "rows": sorted(generation.rows),
        "previous": generation.previous,
        "summary": generation.summary.to_json(),
    }
    return orjson.dumps(data)


def _read_manifest(content: bytes, key: str, hour: Hour, digest: str) -> Generation:
    if lines.digest(content) != layout.digest_of(key):
        raise Damaged(f"{key} is damaged: its content does not match the digest in its name; delete it, publish again")
    data = orjson.loads(content)
    return Generation(hour, digest, frozenset(data["rows"]), data["previous"], Summary.from_json(data["summary"]))
