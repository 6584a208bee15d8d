"""Compact: an hour's published generation united with the rows not yet in it, as a new generation.

Order of reading: the listing of `rows/<H>/` first, the catalog second. Rows that are listed but gone by the time they
are read were folded into a generation published since, so the hour is read again from the start.
Order of writing: lines, manifest; the partition is moved by `publish`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from log_assets.catalog import Catalog, Partition
from log_assets.errors import Damaged, LakeError, NotFound
from log_assets.hour import Hour
from log_assets.lake import Lake, layout
from log_assets.records import lines, row
from log_assets.records.summary import Summary

_ATTEMPTS = 5
_SAMPLE = 5


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
    return [entry.key for entry in lake.entries(f"{layout.ROWS}/{hour}")]


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
    listed = {hour: rows_keys(lake, hour) for hour in hours}
    published = catalog.get(listed)
    stale = {}
    for hour, keys in listed.items():
        done = folded(lake, published.get(hour))
        if new := [key for key in keys if key not in done]:
            stale[hour] = new
    return stale


def compact(lake: Lake, catalog: Catalog, hour: Hour) -> Compacted:
    """Make sure that a generation with everything known of the hour exists; not yet published.

    An hour without any rows makes an empty generation.

    Raises:
        Damaged: a rows file or the published generation is not what its name promises.
        LakeError, CatalogError: as the ports do.
    """
    for _ in range(_ATTEMPTS):
        keys = rows_keys(lake, hour)
        published = catalog.get([hour]).get(hour)
        try:
            return _compact(lake, hour, keys, published)
        except NotFound as error:
            # Tidied or republished since it was listed; or gone for good, which the next round says again.
            gone = error
    raise LakeError(f"hour {hour}: {gone}: restore it from a copy, or transform its window again (log-assets requeue)")


def _compact(lake: Lake, hour: Hour, keys: list[str], published: Partition | None) -> Compacted:
    before = folded(lake, published)
    if published and not before and published.summary.records:
        # Someone removed the published generation: its rows files may still be there.
        remake(lake, Generation(hour, published.digest, frozenset(keys), None, published.summary))
        before = folded(lake, published)
    new = [key for key in keys if key not in before]
    if published and not new:
        return Compacted(_generation_of(published, before), published, 0, 0)

    sets = [_read_lines(lake, key, layout.row_version_of(key)) for key in new]
    old: list[bytes] = []
    if published:
        key = layout.generation_key(hour, published.digest)
        old = _read_lines(lake, key, published.summary.row_version)
    everything = lines.union([old, *sets])
    packed = lines.pack_lines(everything)
    previous = published.digest if published else None
    if published and packed.digest == previous:
        summary = published.summary
    else:
        summary = Summary.of(everything, len(packed.data), packed.size, row.ROW_VERSION)
        lake.put(layout.generation_key(hour, packed.digest), packed.data)
    generation = Generation(hour, packed.digest, before.union(new), previous, summary)
    content = _manifest(generation)
    lake.put(layout.manifest_key(hour, packed.digest, lines.digest(content)), content)
    return Compacted(generation, published, len(new), len(everything) - len(old), tuple(everything[:_SAMPLE]))


def remake(lake: Lake, generation: Generation) -> None:
    """Put the objects of a generation back, from its rows files and the generation it came from.

    Raises:
        NotFound: they are gone too, or make other lines: nothing is put that is not exactly what was lost.
    """
    sets = [_read_lines(lake, key, layout.row_version_of(key)) for key in generation.rows if lake.exists(key)]
    if generation.previous and lake.exists(layout.generation_key(generation.hour, generation.previous)):
        sets.append(read_generation(lake, generation.hour, generation.previous))
    packed = lines.pack_lines(lines.union(sets))
    if packed.digest != generation.digest:
        raise NotFound(f"the published generation {generation.key} is gone, and its rows files do not make it again")
    lake.put(generation.key, packed.data)
    content = _manifest(generation)
    lake.put(layout.manifest_key(generation.hour, generation.digest, lines.digest(content)), content)


def read_generation(lake: Lake, hour: Hour, digest: str) -> list[bytes]:
    """A generation's lines, checked against its digest. Raises `Damaged` or `NotFound`, naming the object."""
    key = layout.generation_key(hour, digest)
    return lines.split(lines.unpack(lake.get(key), digest, key))


def _read_lines(lake: Lake, key: str, version: int) -> list[bytes]:
    found = lines.split(lines.unpack(lake.get(key), layout.digest_of(key), key))
    if version > row.ROW_VERSION:
        raise LakeError(f"{key} was written by a newer version of this program (row version {version}): update")
    return found if version == row.ROW_VERSION else row.reencode(found)


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
