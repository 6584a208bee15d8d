"""How a command that runs for long ends: politely, at Ctrl+C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stopped_by_signals(stop: threading.Event, on_stop: Callable[[], None] | None = None) -> Iterator[None]:
    """Set `stop` at Ctrl+C or SIGTERM, instead of breaking off wherever the program is."""

    def handle(number: int, frame: object) -> None:
        stop.set()
        if on_stop:
            on_stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
