"""What one poll of 100 records costs beyond HTTP and the put, and its transform, in CPU seconds."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.data import bodies
from log_assets.ports import open_lake
from log_assets.records.token import Keyring
from log_assets.source import Body
from log_assets.steps.capture import Capturer
from log_assets.steps.transform import transform


class _Source:
    """Gives bodies that are in memory."""

    url, has_history, rolling = "memory", False, True

    def __init__(self, contents: list[bytes]) -> None:
        self._contents = iter(contents)

    def windows(self) -> Iterator[Body]:
        yield Body(next(self._contents), "memory")

    def history(self, start: datetime, end: datetime) -> Iterator[Body]:
        return iter(())

    def close(self) -> None: ...


class _Nothing:
    """A lake whose puts cost nothing."""

    url = "nowhere"

    def put(self, key: str, content: bytes) -> bool:
        return True

    def entries(self, prefix: str) -> Iterator[None]:
        return iter(())

    def replace(self, key: str, content: bytes) -> None: ...


def run(data: Path, out: Path, cores: int) -> dict[str, float]:
    contents = [file.read_bytes() for file in bodies(data)]
    nowhere = _Nothing()
    capturer = Capturer(_Source(contents), nowhere, nowhere, lambda: datetime.now(UTC))  # type: ignore[arg-type]
    polls = []
    for _ in contents:
        start = time.thread_time()
        capturer.poll()
        polls.append(time.thread_time() - start)
    lake, keyring = open_lake(out.as_uri()), Keyring.parse((data / "f_key").read_text())
    real = Capturer(_Source(contents), lake, nowhere, lambda: datetime.now(UTC))  # type: ignore[arg-type]
    names = [name for _ in contents for name in real.poll()]
    transforms = []
    for name in names:
        start = time.process_time()
        transform(lake, keyring, name)
        transforms.append(time.process_time() - start)
    assert threading.active_count() < 10
    return {"seconds": sum(polls), "poll": statistics.median(polls), "transform": statistics.median(transforms)}
