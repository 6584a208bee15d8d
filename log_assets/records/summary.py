"""What is known of an hour's lines without reading them again: it stands in manifests and in the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from log_assets.records import ids
from log_assets.records.ids import Ids, Range


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of one generation.

    Attributes:
        records: lines.
        size: bytes of the gzip object.
        content_size: bytes of the lines, uncompressed.
        id_ranges: the record ids, as sorted disjoint ranges.
        conflicts: ids that more than one line bears.
        row_version: the version of the row that the lines are written in.
        ids_complete: whether `id_ranges` are all there are; a catalog keeps a bounded number, a manifest all.
    """

    records: int
    size: int
    content_size: int
    id_ranges: tuple[Range, ...]
    conflicts: int
    row_version: int
    ids_complete: bool = True

    @classmethod
    def of(cls, records: int, found: Ids, size: int, content_size: int, row_version: int) -> Self:
        """The summary of so many lines, of which `found` are the record ids."""
        return cls(records, size, content_size, ids.ranges_of(found), ids.duplicates(found), row_version)

    @property
    def first_record_id(self) -> int | None:
        return self.id_ranges[0][0] if self.id_ranges else None

    @property
    def last_record_id(self) -> int | None:
        return self.id_ranges[-1][1] if self.id_ranges else None

    def capped(self, ranges: int) -> Self:
        """With at most so many id ranges, the first and the last among them."""
        if len(self.id_ranges) <= ranges:
            return self
        return replace(self, id_ranges=(*self.id_ranges[: ranges - 1], self.id_ranges[-1]), ids_complete=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "size": self.size,
            "content_size": self.content_size,
            "id_ranges": [list(pair) for pair in self.id_ranges],
            "conflicts": self.conflicts,
            "row_version": self.row_version,
            "ids_complete": self.ids_complete,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError when `data` is no summary."""
        return cls(
            records=int(data["records"]),
            size=int(data["size"]),
            content_size=int(data["content_size"]),
            id_ranges=tuple((int(first), int(last)) for first, last in data["id_ranges"]),
            conflicts=int(data["conflicts"]),
            row_version=int(data["row_version"]),
            ids_complete=bool(data["ids_complete"]),
        )
