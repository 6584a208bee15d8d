"""Source: where windows of encrypted records come from.

Here belongs everything said to a source: HTTP, a folder of saved windows, the demo source. Not here: what a
record means (records), or where a window is put (steps.capture).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Body:
    """One answer of a source, unchanged. `name` says where it came from (a URL without secrets, a file)."""

    content: bytes
    name: str


class Source(Protocol):
    """A source of windows. Every method raises `SourceError`."""

    @property
    def url(self) -> str:
        """The address as a person may see it: without user, password or query."""
        ...

    @property
    def has_history(self) -> bool: ...

    @property
    def rolling(self) -> bool:
        """Whether windows roll on and must be polled (HTTP), or stay where they are (a folder)."""
        ...

    def windows(self) -> Iterator[Body]:
        """What can be read now: one body of a rolling window, or each file of a folder in order of name."""
        ...

    def history(self, start: datetime, end: datetime) -> Iterator[Body]:
        """The bodies of an aware range, `end` not included, when the source `has_history`."""
        ...

    def close(self) -> None:
        """Break off what is under way; from any thread, and safe to call again."""
        ...
