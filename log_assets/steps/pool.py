"""Processes that share the work of a step: all cores, one at a time, or none but this one.

What is handed to them is small (keys, ports, a key ring); records travel through the lake and temporary files.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from log_assets.errors import LogAssetsError

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

T = TypeVar("T")
R = TypeVar("R")

_IDLE_SECONDS = 60
# How often a worker asks whether the process it works for is still there: one that was killed can't tell.
_PARENT_SECONDS = 1.0


class WorkerDied(LogAssetsError):
    """A process that shared the work is gone, and its part of the work with it."""


class Pool:
    """Runs a function over many items, in order; with one process, in this one.

    Args:
        processes: how many; None for as many as this process may use cores (affinity and cgroup quota).
    """

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes or _cores()
        self._executor: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """The results in the order of the items, each as soon as it and those before it are there.

        Raises:
            WorkerDied: a process ended while it had work; the work of all is lost, and may be given again.
        """
        if self.processes == 1 or len(items) <= 1:
            yield from map(function, items)
            return
        from loky import ProcessPoolExecutor
        from loky.process_executor import BrokenProcessPool

        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.processes, timeout=_IDLE_SECONDS, initializer=_serve, initargs=(os.getpid(),)
            )
        try:
            yield from self._executor.map(function, items)
        except BrokenProcessPool:
            self._close()
            raise WorkerDied(
                "a worker process died (killed, or out of memory): nothing of this was published; run it again, with "
                "WORKERS=1 if memory is short"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None


def _cores() -> int:
    """Cores that this process may use: loky knows affinity, where the system has it, and a container's quota."""
    from loky import cpu_count

    return int(cpu_count())


def serial_pool() -> Pool:
    """A pool of this process only."""
    return Pool(1)


def _serve(parent: int) -> None:
    """What a worker does first: Ctrl+C, which reaches the whole group, is its parent's to handle; it ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
