"""The state of an hour: its rows, what is published of it, and its generations, read once and for many hours together.

The order of reading is what makes a state safe to act on. Whoever adds (`read`) lists the rows first and asks the
catalog second: rows that are listed but gone by the time they are read were folded into a generation published since.
Whoever deletes (`read_to_delete`) lists the generations first: one that is made later than this listing is not in it,
and so is not deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from log_assets.catalog import Catalog, Partition
from log_assets.errors import Damaged, failure_of
from log_assets.hour import Hour, contiguous
from log_assets.lake import Entry, Lake, layout, listing
from log_assets.lake.layout import Part
from log_assets.records import lines
from log_assets.records.lines import Packed
from log_assets.records.summary import Summary

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Generation:
    """An hour's immutable content, as one manifest tells it: its digest, the rows files folded in so far, and the
    generation it came from."""

    hour: Hour
    digest: str
    rows: frozenset[str]
    previous: str | None
    summary: Summary

    @property
    def key(self) -> str:
        return layout.lines_key(self.hour, self.digest)


@dataclass(frozen=True, slots=True)
class Stored:
    """A generation as it was listed: its lines, if they are there, and its manifests."""

    lines: Entry | None = None
    manifests: tuple[Entry, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether lines and a manifest are there: what was written by half, or deleted by half, is not."""
        return self.lines is not None and bool(self.manifests)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All its objects, manifests last: what is deleted in this order by half still tells what it was."""
        return (*((self.lines,) if self.lines else ()), *self.manifests)


@dataclass(frozen=True, slots=True)
class HourState:
    """What was found of an hour.

    Attributes:
        rows: the listing of its rows files.
        published: its partition, if it has one.
        stored: its generations by digest, the published one among them.
    """

    hour: Hour
    rows: tuple[Entry, ...] = ()
    published: Partition | None = None
    stored: Mapping[str, Stored] = field(default_factory=dict)

    @property
    def current(self) -> Stored:
        """The published generation; one without any object when nothing is published, or it is gone."""
        return self.stored.get(self.published.digest, Stored()) if self.published else Stored()

    @property
    def unpublished(self) -> dict[str, Stored]:
        """Whole generations that the partition does not point at: compacted and not yet published, superseded, or left
        when a catalog lost its partition."""
        digest = self.published.digest if self.published else None
        return {one: stored for one, stored in self.stored.items() if stored.is_whole and one != digest}


def read(
    lake: Lake, catalog: Catalog, hours: Iterable[Hour], rows: Mapping[Hour, tuple[Entry, ...]] | None = None
) -> dict[Hour, HourState]:
    """The state of each hour, to add to it: rows first (unless they were listed just now), catalog second."""
    wanted = list(hours)
    rows = rows_of(lake, wanted) if rows is None else rows
    published = catalog.get(wanted) if wanted else {}
    stored = _stored(lake, wanted)
    return {hour: HourState(hour, rows[hour], published.get(hour), stored[hour]) for hour in wanted}


def read_to_delete(lake: Lake, catalog: Catalog, hours: Iterable[Hour]) -> dict[Hour, HourState]:
    """The state of each hour, to delete from it: generations first, rows second, catalog last."""
    wanted = list(hours)
    stored = _stored(lake, wanted)
    rows = rows_of(lake, wanted)
    published = catalog.get(wanted) if wanted else {}
    return {hour: HourState(hour, rows[hour], published.get(hour), stored[hour]) for hour in wanted}


def read_again(lake: Lake, hours: Iterable[Hour]) -> dict[Hour, HourState]:
    """What lies in the lake of each hour now, by whoever knows what is published: rows and generations."""
    wanted = list(hours)
    rows, stored = rows_of(lake, wanted), _stored(lake, wanted)
    return {hour: HourState(hour, rows[hour], None, stored[hour]) for hour in wanted}


def rows_of(lake: Lake, hours: Iterable[Hour]) -> dict[Hour, tuple[Entry, ...]]:
    """The rows files of each hour; hours in a row are listed together."""
    return {hour: tuple(entries) for hour, entries in _listed(lake, layout.ROWS, hours).items()}


def _stored(lake: Lake, hours: Iterable[Hour]) -> dict[Hour, dict[str, Stored]]:
    found: dict[Hour, dict[str, Stored]] = {}
    for hour, entries in _listed(lake, layout.COMPACT, hours).items():
        by_digest = _grouped((layout.generation_of(entry.key), entry) for entry in entries)
        found[hour] = {digest: _generation_as_listed(some) for digest, some in by_digest.items()}
    return found


def _generation_as_listed(entries: Iterable[Entry]) -> Stored:
    parts = _grouped((layout.part_of(entry.key), entry) for entry in entries)
    content = parts.get(Part.LINES, [])
    return Stored(content[0] if content else None, tuple(parts.get(Part.MANIFEST, ())))


def _grouped(pairs: Iterable[tuple[_Key, Entry]]) -> dict[_Key, list[Entry]]:
    found: dict[_Key, list[Entry]] = {}
    for key, entry in pairs:
        found.setdefault(key, []).append(entry)
    return found


def _listed(lake: Lake, prefix: str, hours: Iterable[Hour]) -> dict[Hour, list[Entry]]:
    found: dict[Hour, list[Entry]] = {}
    for some in contiguous(sorted(hours)):
        found |= {hour: [] for hour in some}
        first = layout.hour_folder(prefix, some[0])
        if len(some) == 1:
            found[some[0]] = list(listing.objects(lake, first))
            continue
        for entry in listing.objects(lake, prefix, first, some[-1]):
            found[layout.hour_of(entry.key)].append(entry)
    return found


def manifests(lake: Lake, hour: Hour, digest: str, stored: Stored) -> list[Generation]:
    """Every manifest of one generation.

    Raises:
        Damaged: one is not what its name promises.
        NotFound: one is gone since it was listed.
    """
    return [_read_manifest(lake.get(entry.key), entry.key, hour, digest) for entry in stored.manifests]


def folded(lake: Lake, hour: Hour, digest: str, stored: Stored) -> frozenset[str]:
    """Keys of all rows files that a generation holds, by the union of its manifests."""
    return frozenset().union(*(generation.rows for generation in manifests(lake, hour, digest, stored)))


def folded_in_published(lake: Lake, state: HourState) -> frozenset[str]:
    """Keys of all rows files that the published generation holds."""
    return folded(lake, state.hour, state.published.digest, state.current) if state.published else frozenset()


def new_rows(lake: Lake, state: HourState) -> list[Entry]:
    """The rows files that the published generation lacks; an hour that has any is *stale*."""
    if not state.rows:
        return []
    done = folded_in_published(lake, state)
    return [entry for entry in state.rows if entry.key not in done]


def read_lines(lake: Lake, hour: Hour, digest: str) -> list[bytes]:
    """A generation's lines, checked against its digest. Raises `Damaged` or `NotFound`, naming the object."""
    key = layout.lines_key(hour, digest)
    return lines.split(lines.unpack(lake.get(key), digest, key))


def write(lake: Lake, generation: Generation, packed: Packed | None) -> None:
    """Put a generation: its lines first, unless they are there already (`packed` is None), then its manifest."""
    if packed is not None:
        lake.put(generation.key, packed.data)
    data: dict[str, Any] = {
        "rows": sorted(generation.rows),
        "previous": generation.previous,
        "summary": generation.summary.to_json(),
    }
    content = orjson.dumps(data)
    lake.put(layout.manifest_key(generation.hour, generation.digest, lines.digest(content)), content)


def _read_manifest(content: bytes, key: str, hour: Hour, digest: str) -> Generation:
    if lines.digest(content) != layout.digest_of(key):
        raise Damaged(f"{key} is damaged: its content does not match the digest in its name; delete it, publish again")
    with failure_of(key):
        data = orjson.loads(content)
        return Generation(hour, digest, frozenset(data["rows"]), data["previous"], Summary.from_json(data["summary"]))
