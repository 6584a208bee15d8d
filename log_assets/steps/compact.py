"""Compact: an hour's published generation united with the rows not yet in it, as a new generation.

Order of reading: the listing of `rows/<H>/` first, the catalog second (`generations.read`). Rows that are listed but
gone by the time they are read were folded into a generation published since, so the hour is read again from the start.
Order of writing: lines, manifest; the partition is moved by `publish`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from log_assets.catalog import Catalog, Partition
from log_assets.errors import LakeError, LogAssetsError, NotFound, failure_of
from log_assets.hour import Hour
from log_assets.lake import Entry, Lake, layout
from log_assets.records import row
from log_assets.records.summary import Summary
from log_assets.steps import generations
from log_assets.steps.buckets import United
from log_assets.steps.generations import Generation, HourState
from log_assets.steps.pool import Pool, WorkerDied, serial_pool
from log_assets.steps.sorted_set import SortedSet
from log_assets.steps.union import unite

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Sharing:
    """When hours share the pool's processes, by the compressed bytes that are read.

    Attributes:
        together: of several hours from so many bytes on, each is compacted by one of the processes.
        alone: an hour of more bytes than these uses the whole pool by itself.
    """

    together: int = 2 << 20
    alone: int = 8 << 20


@dataclass(frozen=True, slots=True)
class Compacted:
    """The outcome of one compaction: the generation, how many of its rows files and lines are new, and a few lines."""

    generation: Generation
    published: Partition | None
    new_rows: int
    new_lines: int
    sample: tuple[bytes, ...] = ()

    @property
    def is_published(self) -> bool:
        """Whether the partition points at the generation already."""
        return self.published is not None and self.published.digest == self.generation.digest


def compact(lake: Lake, catalog: Catalog, hour: Hour, pool: Pool | None = None) -> Compacted:
    """Make sure that a generation with everything known of the hour exists; not yet published.

    An hour without any rows makes an empty generation.

    Raises:
        Damaged: a rows file or the published generation is not what its name promises.
        LakeError, CatalogError, WorkerDied: as the ports and the pool do.
    """
    (outcome,) = compact_all(lake, catalog, [hour], pool or serial_pool())
    if isinstance(outcome, LogAssetsError):
        raise outcome
    return outcome


def compact_all(
    lake: Lake, catalog: Catalog, hours: Sequence[Hour], pool: Pool, sharing: Sharing | None = None
) -> Iterator[Compacted | LogAssetsError]:
    """What `compact` gives for each hour, or why it failed, in order: hours are shared among the pool's processes,
    and so is a big hour itself."""
    try:
        states = generations.read(lake, catalog, hours)
    except LogAssetsError as error:
        yield from [error] * len(hours)
        return
    for some in _shares([states[hour] for hour in hours], pool, sharing or Sharing()):
        if len(some) == 1:
            yield _compact_with_retries(lake, catalog, some[0], pool)
            continue
        try:
            outcomes = pool.map(partial(_compact_in_worker, lake), some)
            for state, outcome in zip(some, outcomes, strict=True):
                again = isinstance(outcome, NotFound)
                yield _compact_with_retries(lake, catalog, state, pool) if again else outcome
        except WorkerDied as error:
            yield from [error] * len(some)


def make_whole(lake: Lake, state: HourState, generation: Generation) -> None:
    """Put the objects of a generation back, from its rows files and the generation it came from.

    Raises:
        NotFound: they are gone too, or make other lines: nothing is put that is not exactly what was lost.
    """
    sets = [_rows_set(entry) for entry in state.rows if entry.key in generation.rows]
    if generation.previous and (before := state.stored.get(generation.previous)):
        found = generations.manifests(lake, state.hour, generation.previous, before)
        sets += [_lines_set(one) for one in found[:1]]
    # Lines of the version that made the generation, be it an older one, stay as they are: its digest is theirs.
    made_by = generation.summary.row_version
    sets = [replace(one, version=row.ROW_VERSION) if one.version == made_by else one for one in sets]
    united = unite(lake, sets, serial_pool())
    if united.packed.digest != generation.digest:
        raise NotFound(f"the published generation {generation.key} is gone, and its rows files do not make it again")
    generations.write(lake, replace(generation, summary=_summary(united, made_by)), united.packed)


def _shares(states: Sequence[HourState], pool: Pool, sharing: Sharing) -> Iterator[Sequence[HourState]]:
    """Hours in a row that are worth sharing, together; those that are not, or that use the whole pool, one by one."""
    for is_small, some in groupby(states, lambda state: _weight(state) <= sharing.alone):
        group = list(some)
        if is_small and pool.processes > 1 and sum(map(_weight, group)) >= sharing.together:
            yield group
        else:
            yield from ([state] for state in group)


def _weight(state: HourState) -> int:
    """Compressed bytes that are read for an hour, at most."""
    before = state.published.summary.size if state.published and state.rows else 0
    return before + sum(entry.size for entry in state.rows)


def _compact_in_worker(lake: Lake, state: HourState) -> Compacted | LogAssetsError:
    try:
        return _compact(lake, state, serial_pool())
    except LogAssetsError as error:
        return error


def _compact_with_retries(lake: Lake, catalog: Catalog, state: HourState, pool: Pool) -> Compacted | LogAssetsError:
    hour = state.hour
    for _ in range(_ATTEMPTS):
        try:
            return _compact(lake, state, pool)
        except NotFound as error:
            # Tidied or republished since it was listed; or gone for good, which the next round says again.
            gone = error
        except LogAssetsError as error:
            return error
        try:
            state = generations.read(lake, catalog, [hour])[hour]
        except LogAssetsError as error:
            return error
    return LakeError(f"hour {hour}: {gone}: restore it from a copy, or transform its window again (log-assets requeue)")


def _compact(lake: Lake, state: HourState, pool: Pool) -> Compacted:
    with failure_of(f"hour {state.hour}"):
        return _compact_hour(lake, state, pool)


def _compact_hour(lake: Lake, state: HourState, pool: Pool) -> Compacted:
    hour, published = state.hour, state.published
    before = _folded(lake, state)
    listed = frozenset(entry.key for entry in state.rows)
    if published and before >= listed:
        return Compacted(Generation(hour, published.digest, before, None, published.summary), published, 0, 0)
    # Generations that hold rows which the published one lacks: compacted and not yet published, or all there is left
    # when a catalog lost its partition.
    others = [one for one in _unpublished(lake, state) if not before >= one.rows]
    everything = listed.union(before, *(one.rows for one in others))
    known = published.summary.records if published else 0
    for one in others:
        # A generation holds exactly the lines of its rows files, so this one holds all the lines there are.
        if one.rows >= everything:
            return Compacted(one, published, len(one.rows - before), one.summary.records - known)

    held = before.union(*(one.rows for one in others))
    sets = [_rows_set(entry) for entry in state.rows if entry.key not in held]
    sets += [_lines_set(one) for one in others]
    if published and known:
        sets.append(_lines_set(Generation(hour, published.digest, before, None, published.summary)))
    united = unite(lake, sets, pool)
    packed = united.packed
    generation = Generation(
        hour,
        packed.digest,
        everything,
        published.digest if published else None,
        _summary(united, row.ROW_VERSION),
    )
    if published and packed.digest == published.digest:
        # No line is new: a manifest tells that these rows are in the object that is there, too.
        generation = replace(generation, summary=replace(generation.summary, size=published.summary.size))
        generations.write(lake, generation, None)
    else:
        generations.write(lake, generation, packed)
    return Compacted(generation, published, len(everything - before), united.records - known, united.first)


def _summary(united: United, row_version: int) -> Summary:
    """Counts of what was united just now: a catalog keeps only some of the id ranges, a manifest must have them all."""
    size, content_size = len(united.packed.data), united.packed.size
    return Summary.of(united.records, united.ids, size, content_size, row_version)


def _unpublished(lake: Lake, state: HourState) -> list[Generation]:
    """The whole generations that are not published, each with the rows of all its manifests."""
    found = []
    for digest, stored in state.unpublished.items():
        told = generations.manifests(lake, state.hour, digest, stored)
        found.append(replace(told[-1], rows=frozenset().union(*(one.rows for one in told))))
    return found


def _folded(lake: Lake, state: HourState) -> frozenset[str]:
    """Keys of the rows files that the published generation holds, which is made whole again when someone removed it."""
    published = state.published
    if published is None:
        return frozenset()
    told = generations.manifests(lake, state.hour, published.digest, state.current)
    if state.current.is_whole:
        return frozenset().union(*(one.rows for one in told))
    gone = NotFound("")
    for rows, previous in _guesses(state, published, told):
        try:
            make_whole(lake, state, Generation(state.hour, published.digest, rows, previous, published.summary))
        except NotFound as error:
            gone = error
        else:
            return rows
    raise gone


def _guesses(
    state: HourState, published: Partition, told: Sequence[Generation]
) -> Iterator[tuple[frozenset[str], str | None]]:
    """Which rows files, and which generation before, a removed generation was made of: what a manifest of it says; or
    all rows that are there; or, when others came since, those of windows that landed before it was published."""
    if told:
        yield frozenset().union(*(one.rows for one in told)), told[0].previous
        return
    listed = frozenset(entry.key for entry in state.rows)
    if not published.summary.records:
        yield frozenset(), None
        return
    yield listed, None
    landed = {key: layout.window_landed(layout.window_of(key)) for key in listed}
    yield frozenset(key for key in listed if landed[key] <= published.published), None


def _rows_set(entry: Entry) -> SortedSet:
    return SortedSet(entry.key, layout.digest_of(entry.key), layout.row_version_of(entry.key), entry.size)


def _lines_set(generation: Generation) -> SortedSet:
    return SortedSet(generation.key, generation.digest, generation.summary.row_version, generation.summary.size)
