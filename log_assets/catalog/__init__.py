"""Catalog: which generation of an hour is published, and what is known of it.

Here belongs the register of partitions: SQLite, Glue. Not here: what stands in a generation (records), or
when one may be published (steps.publish).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from log_assets.errors import CatalogError
from log_assets.hour import Hour
from log_assets.records.summary import Summary


@dataclass(frozen=True, slots=True)
class Partition:
    """A published hour: its generation's digest and folder (a URL), its counts, and when it was published (UTC)."""

    hour: Hour
    digest: str
    location: str
    summary: Summary
    published: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """Point an hour at another generation, if it still points at `expected` (None: if it is not registered)."""

    expected: str | None
    new: Partition


class Moved(Enum):
    DONE = auto()
    CONFLICT = auto()


class Catalog(Protocol):
    """The register of published hours. Every method raises `CatalogError`."""

    @property
    def url(self) -> str: ...

    def check(self) -> None:
        """Raises `CatalogError` when the table is missing, or not as it should be; makes nothing."""
        ...

    def ensure(self) -> None:
        """Make the table when it is missing, and check it; safe to call again."""
        ...

    def repair(self) -> str:
        """Make the table, and how its partitions are described, what they should be; where a partition points stays.

        Says what was done.
        """
        ...

    def get(self, hours: Iterable[Hour]) -> dict[Hour, Partition]:
        """The partitions of those hours that are registered."""
        ...

    def partitions(self, first: Hour | None = None, last: Hour | None = None) -> Iterator[Partition]:
        """All partitions from `first` to `last`, both included, in order of time."""
        ...

    def move(self, moves: Sequence[Move]) -> dict[Hour, Moved | CatalogError]:
        """Compare and set, many hours at once, each by itself: one that fails leaves the others done."""
        ...
