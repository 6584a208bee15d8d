"""Fetch: what a person asks a source for: the history of an hour, or what it shows now, and the rows of it.

The capturer polls by itself; this is the by-hand way, for `raw_logs` and `poll --once`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from log_assets.errors import LogAssetsError
from log_assets.hour import Hour
from log_assets.lake import Lake
from log_assets.records.token import Keyring
from log_assets.source import Source
from log_assets.steps.capture import Captured, capture_all
from log_assets.steps.transform import Receipt, WrongKey, transform


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
    lake: Lake, keyring: Keyring, windows: Iterable[str], enough: Callable[[], bool] = lambda: False
) -> Transformed:
    """Transform windows one by one, each by itself, until `enough` says so."""
    done = Transformed()
    for window in windows:
        if enough():
            break
        try:
            outcome = transform(lake, keyring, window)
        except LogAssetsError as error:
            done.failed[window] = error
            continue
        if isinstance(outcome, Receipt):
            done.receipts.append(outcome)
        else:
            done.waiting.append(outcome)
    return done


def fetch_history(lake: Lake, source: Source, hour: Hour, now: Callable[[], datetime]) -> Captured:
    """Ask a history source for one hour and write its bodies down; gives what is new."""
    return capture_all(lake, source.history(hour.start, hour.end), now)


def fetch_now(lake: Lake, source: Source, now: Callable[[], datetime]) -> Captured:
    """Write down what the source shows now; gives what is new."""
    return capture_all(lake, source.windows(), now)
