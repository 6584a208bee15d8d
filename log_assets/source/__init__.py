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
    """A source of windows.

    `windows()` gives what can be read now: one body for a rolling window, each file of a folder in name order.
    `history(start, end)` gives the bodies of an aware UTC range, when `has_history`. Both raise `SourceError`.
    """

    @property
    def url(self) -> str:
        """The address as a person may see it: without user, password or query values."""
        ...

    @property
    def has_history(self) -> bool: ...

    @property
    def rolling(self) -> bool:
        """Whether windows roll on and must be polled (HTTP), or stay where they are (a folder)."""
        ...

    def windows(self) -> Iterator[Body]: ...

    def history(self, start: datetime, end: datetime) -> Iterator[Body]: ...

    def close(self) -> None: ...
