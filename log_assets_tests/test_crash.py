"""Killed at every write: before it and after it, in capture, transform, compact and publish.

The writes are enumerated by a store that counts them; a child process then runs the whole chain and kills itself with
SIGKILL at the n-th write, before or after. After a restart every captured record is in its hour exactly once, and what
was left over is used or tidied.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from log_assets.catalog import Move
from log_assets.source import Body
from log_assets.steps.capture import capture_all
from log_assets.steps.publish import Published, publish
from log_assets.steps.receipts import pending
from log_assets.steps.tidy import tidy
from log_assets.steps.transform import transform_all
from log_assets_tests.kit import H0, Kit, body, record

HOURS = [H0, H0.plus(1)]
RECORDS = [[record(number) for number in range(start, start + 5)] for start in (0, 3, 3596, 3598)]
EVERYTHING = {number for batch in RECORDS for number in (one["record_id"] for one in batch)}


class Counting:
    """Passes everything on to a lake or a catalog, and calls `at(number, name, write)` for every write."""

    def __init__(self, inner: Any, at: Callable[[str, Callable[[], Any]], Any]) -> None:
        self._inner, self._at = inner, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put(self, key: str, content: bytes) -> Any:
        return self._at(f"put {key.split('/', maxsplit=1)[0]}", lambda: self._inner.put(key, content))

    def replace(self, key: str, content: bytes) -> None:
        self._at(f"replace {key.split('/', maxsplit=1)[0]}", lambda: self._inner.replace(key, content))

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._at(f"delete {key.split('/')[0]}", partial(self._inner.delete, [key]))

    def move(self, moves: Sequence[Move]) -> Any:
        return self._at("move", lambda: self._inner.move(moves))


def work(kit: Kit) -> None:
    """The whole chain, once: capture, transform, compact and publish of two hours, in two rounds, then tidy."""
    for batches in (RECORDS[:2], RECORDS[2:]):
        bodies = [Body(body(kit.keyring, batch), "test") for batch in batches]
        capture_all(kit.lake, iter(bodies), kit.now)
        done = transform_all(kit.lake, kit.keyring, pending(kit.lake))
        assert not done.problems()
        outcome = publish(kit.lake, kit.catalog, HOURS, kit.now)
        assert all(isinstance(one, Published) for one in outcome.values()), outcome
    kit.age(30)
    tidy(kit.lake, kit.catalog, kit.now())


def counted(kit: Kit) -> list[str]:
    writes: list[str] = []

    def at(name: str, write: Callable[[], Any]) -> Any:
        writes.append(name)
        return write()

    kit.lake, kit.catalog = Counting(kit.lake, at), Counting(kit.catalog, at)
    work(kit)
    return writes


def killed_at(folder: Path, key: Any, number: int, when: str) -> None:
    """Run the chain in a child that kills itself at its `number`-th write."""
    kit = Kit(folder, key)
    seen = 0

    def at(name: str, write: Callable[[], Any]) -> Any:
        nonlocal seen
        seen += 1
        if seen == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = write()
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    kit.lake, kit.catalog = Counting(kit.lake, at), Counting(kit.catalog, at)
    work(kit)


def test_the_chain_writes_what_it_should(kit: Kit) -> None:
    writes = counted(kit)
    kinds = {"put raw", "put rows", "put receipts", "put compact", "move", "delete rows", "delete compact"}
    assert set(writes) == kinds
    assert len(writes) > 25


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_write(tmp_path: Path, when: str) -> None:
    writes = counted(Kit(tmp_path / "count"))
    context = multiprocessing.get_context("spawn")
    for number in range(1, len(writes) + 1):
        kit = Kit(tmp_path / f"{when}-{number}")
        child = context.Process(target=killed_at, args=(kit.folder, kit.keyring, number, when))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL, f"write {number} ({writes[number - 1]}) was not reached"
        what = f"killed {when} write {number}: {writes[number - 1]}"
        captured_before = len(kit.keys("raw"))

        kit.clock += timedelta(hours=40)
        work(kit)
        assert set(kit.ids(HOURS[0])) | set(kit.ids(HOURS[1])) == EVERYTHING, what
        assert len(kit.ids(HOURS[0])) + len(kit.ids(HOURS[1])) == len(EVERYTHING), what
        assert len(kit.keys("raw")) >= captured_before
        # Every orphan was used or tidied: what is left is what the partitions point at, with its manifests.
        kit.age(30)
        tidy(kit.lake, kit.catalog, kit.now())
        assert kit.keys("rows") == [], what
        generations = {tuple(key.split("/")[1:3]) for key in kit.keys("compact")}
        assert generations == {(hour, kit.partition(hour).digest) for hour in HOURS}, what
        assert not list(kit.folder.rglob("*#*")), what
