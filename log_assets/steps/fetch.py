"""Fetch: what a person asks a source for: the history of an hour, or what it shows now, and the rows of it.

The capturer polls by itself; this is the by-hand way, for `raw_logs` and `poll --once`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from log_assets.errors import LogAssetsError
from log_assets.hour import Hour
from log_assets.lake import Lake
from log_assets.records.token import Keyring
from log_assets.source import Source
from log_assets.steps.capture import Captured, capture_all
from log_assets.steps.pool import Pool, alone
from log_assets.steps.transform import Receipt, WrongKey, transform

# So many windows are worth starting processes for; each takes a share at once.
_WORTH_SHARING = 64
_SHARE = 8


@dataclass(slots=True)
class Transformed:
    """What became of several windows: receipts, windows that wait for the right key, and those that failed."""

    receipts: list[Receipt] = field(default_factory=list)
    waiting: list[WrongKey] = field(default_factory=list)
    failed: dict[str, LogAssetsError] = field(default_factory=dict)

    @property
    def hours(self) -> list[Hour]:
        return sorted({hour for receipt in self.receipts for hour in receipt.hours})

    def add(self, other: Transformed) -> None:
        self.receipts += other.receipts
        self.waiting += other.waiting
        self.failed |= other.failed

    def problems(self) -> list[str]:
        """One sentence for each kind of window that was left as it is."""
        found = [str(error) for error in self.failed.values()]
        if self.waiting:
            records = sum(window.records for window in self.waiting)
            found.append(
                f"{len(self.waiting)} windows ({records} records) wait: no record of theirs opens with f_key; "
                "set the right key (several with commas) and they are read by themselves"
            )
        return found


def transform_all(
    lake: Lake,
    keyring: Keyring,
    windows: Iterable[str],
    enough: Callable[[], bool] = lambda: False,
    *,
    pool: Pool | None = None,
    progress: Callable[[int], None] = lambda windows: None,
) -> Transformed:
    """Transform windows, each by itself, until `enough` says so; many of them are shared among the pool's processes.

    `progress` is told of every few windows that are done.

    Raises:
        WorkerDied: a process of the pool died; its windows have no receipt, and are still to be transformed.
    """
    done = Transformed()
    todo = list(windows)
    if pool is None or pool.processes == 1 or len(todo) < _WORTH_SHARING:
        pool, size = alone(), 1
    else:
        size = _SHARE
    shares = [todo[start : start + size] for start in range(0, len(todo), size)]
    for some in pool.map(partial(_transform, lake, keyring), shares):
        done.add(some)
        progress(len(some.receipts) + len(some.waiting) + len(some.failed))
        if enough():
            break
    return done


def _transform(lake: Lake, keyring: Keyring, windows: Sequence[str]) -> Transformed:
    done = Transformed()
    for window in windows:
        _transform_one(done, lake, keyring, window)
    return done


def _transform_one(done: Transformed, lake: Lake, keyring: Keyring, window: str, body: bytes | None = None) -> None:
    try:
        outcome = transform(lake, keyring, window, body)
    except LogAssetsError as error:
        done.failed[window] = error
        return
    if isinstance(outcome, Receipt):
        done.receipts.append(outcome)
    else:
        done.waiting.append(outcome)


def fetch_history(
    lake: Lake, keyring: Keyring, source: Source, hour: Hour, now: Callable[[], datetime], *, known: set[str]
) -> tuple[Captured, Transformed]:
    """Ask a history source for one hour, write its bodies down and transform them; gives what is new.

    Args:
        lake, keyring, source, hour, now: with what, and which.
        known: digests of the bodies that the lake has; the new ones are added.
    """
    done = Transformed()

    then = partial(_transform_one, done, lake, keyring)
    return capture_all(lake, source.history(hour.start, hour.end), now, known, then), done


def fetch_now(lake: Lake, source: Source, now: Callable[[], datetime]) -> Captured:
    """Write down what the source shows now; gives what is new."""
    return capture_all(lake, source.windows(), now)
