"""A source that does what a test tells it to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from log_assets.source import Body


class Scripted:
    """A source that shows what it is told to; an error is raised."""

    url = "https://source.test/logs"
    has_history = False
    rolling = True

    def __init__(self, *shown: bytes | Exception) -> None:
        self.shown = list(shown)

    def windows(self) -> Iterator[Body]:
        now = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        if isinstance(now, Exception):
            raise now
        yield Body(now, self.url)

    def history(self, start: datetime, end: datetime) -> Iterator[Body]:
        raise NotImplementedError

    def close(self) -> None: ...
