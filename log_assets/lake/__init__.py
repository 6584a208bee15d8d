"""Lake: the objects of the pipeline, in a local folder or an object store.

Here belongs how an object is put, read, listed and deleted, and what keys are called (`layout`). Not here:
what stands in an object (records), or which object may follow from which (steps).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing: its key under the lake, size in bytes, and the store's time of the put (UTC)."""

    key: str
    size: int
    modified: datetime


class Lake(Protocol):
    """A flat space of keys such as ``raw/2023-03-10-01/x.json.gz``. Every method raises `LakeError`.

    It can be pickled, and so be handed to another process.
    """

    @property
    def url(self) -> str: ...

    def put(self, key: str, content: bytes) -> bool:
        """Create an object; false, and nothing written, when the key was taken already."""
        ...

    def replace(self, key: str, content: bytes) -> None:
        """Write an object over whatever stands there. For the capture log alone."""
        ...

    def get(self, key: str) -> bytes:
        """Raises `NotFound` when there is no such object."""
        ...

    def pieces(self, key: str) -> Iterator[bytes]:
        """An object's content as it comes, never whole in memory. Raises `NotFound` when there is no such object."""
        ...

    def exists(self, key: str) -> bool: ...

    def entries(self, prefix: str, after: str = "", until: str = "") -> Iterator[Entry]:
        """Every object under the folder `prefix`, in key order; with `after`, those whose key sorts behind it; with
        `until`, those in folders directly under `prefix` whose name does not sort behind it."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """The names directly under the folder `prefix` that hold objects, sorted."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are gone already are no error."""
        ...

    def now(self) -> datetime:
        """The store's own clock (UTC): an empty object is put, its time read, and removed, so it needs those rights."""
        ...

    def remove_staged(self, before: datetime) -> int:
        """Remove what writes that were killed left outside the space of keys, if older; how many there were."""
        ...

    def location(self, prefix: str) -> str:
        """The URL of a folder, as the catalog and the query engine want it, with a slash at its end."""
        ...
