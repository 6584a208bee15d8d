"""Due: which hours are to be compacted now, and which windows are to be read, as set differences of listings.

A cursor narrows the listing to the last day of landings, and one sweep a day lists everything, so a cursor that
is lost or wrong delays work and never loses it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from log_assets.catalog import Catalog, Partition
from log_assets.errors import Damaged, NotFound, Unreadable
from log_assets.hour import Hour
from log_assets.lake import Entry, Lake, layout, listing
from log_assets.steps import generations, receipts

# Windows may be put by several clocks; one that is a day off is still seen between two sweeps.
_OVERLAP_HOURS = 24
_RECEIPTS_OVERLAP = timedelta(minutes=10)
_SWEEP_EVERY = timedelta(days=1)
# Waits before a window that could not be read is tried again.
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
_FAILING_KEPT = 1000
# The last windows of an hour land, and are read, a little after its end.
CLOSE_GRACE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the last search ended.

    Attributes:
        seen: the newest receipt's time, by the store.
        swept: when the last sweep was.
        stale: hours known to be stale.
        failing: windows that could not be read: how often, and when they are tried again.
        capture: the state of capture that was told last.
    """

    seen: datetime | None = None
    swept: datetime | None = None
    stale: frozenset[Hour] = field(default_factory=frozenset)
    failing: Mapping[str, tuple[int, datetime]] = field(default_factory=dict)
    capture: str = ""

    def to_json(self) -> str:
        return json.dumps(
            {
                "seen": self.seen.isoformat() if self.seen else None,
                "swept": self.swept.isoformat() if self.swept else None,
                "stale": sorted(self.stale),
                "failing": {window: [tries, again.isoformat()] for window, (tries, again) in self.failing.items()},
                "capture": self.capture,
            }
        )

    @classmethod
    def from_json(cls, text: str | None) -> Cursor:
        """An unreadable cursor is an empty one: the next search is a sweep."""
        try:
            data = json.loads(text or "{}")
            seen, swept = data.get("seen"), data.get("swept")
            return cls(
                datetime.fromisoformat(seen) if seen else None,
                datetime.fromisoformat(swept) if swept else None,
                frozenset(Hour(hour) for hour in data.get("stale", [])),
                {
                    str(window): (int(tries), datetime.fromisoformat(again))
                    for window, (tries, again) in data.get("failing", {}).items()
                },
                str(data.get("capture", "")),
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def is_waiting(self, window: str, now: datetime) -> bool:
        """Whether a window failed, and its time has not come yet."""
        return window in self.failing and now < self.failing[window][1]

    def with_failures(self, failed: Iterable[str], pending: Collection[str], now: datetime) -> Cursor:
        """With what became of a tick's windows: each further failure doubles the wait; what is read is forgotten."""
        failing = {window: told for window, told in self.failing.items() if window in pending}
        for window in failed:
            tries = failing.get(window, (0, now))[0] + 1
            failing[window] = (tries, now + min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (tries - 1)))
        # Beyond so many, the rest is tried at every tick: the cursor is a row in a database.
        return replace(self, failing=dict(sorted(failing.items())[:_FAILING_KEPT]))

    def sweeps(self, now: datetime) -> bool:
        return self.seen is None or self.swept is None or now - self.swept >= _SWEEP_EVERY


@dataclass(frozen=True, slots=True)
class Stale:
    """An hour with rows files that its published generation lacks."""

    hour: Hour
    rows: tuple[Entry, ...]
    published: Partition | None

    @property
    def work(self) -> str:
        """The name of just these rows."""
        return work_of(entry.key for entry in self.rows)

    @property
    def newest(self) -> datetime:
        """When the last of them came."""
        return max(entry.modified for entry in self.rows)


def windows_since(now: datetime, cursor: Cursor) -> Hour | None:
    """The first landing hour that a search has to list; None for all of them."""
    return None if cursor.sweeps(now) else Hour.of(now).plus(-_OVERLAP_HOURS)


@dataclass(frozen=True, slots=True)
class Search:
    """The hours that are stale now, in order of time; the next search's cursor; objects that could not be read."""

    stale: list[Stale]
    cursor: Cursor
    problems: list[str]


def find_stale(lake: Lake, catalog: Catalog, cursor: Cursor, now: datetime) -> Search:
    """Search the hours of new receipts, or, once a day, all that have rows. An object that cannot be read leaves out
    its own hour and no other."""
    since = windows_since(now, cursor)
    found = list(listing.objects(lake, layout.RECEIPTS, layout.hour_folder(layout.RECEIPTS, since) if since else ""))
    seen = max((entry.modified for entry in found), default=cursor.seen or now)
    new = receipts.Receipts()
    if since is None:
        candidates = listing.hours(lake, layout.ROWS)
        swept: datetime | None = now
    else:
        new = receipts.read(lake, _new_receipts(found, cursor))
        candidates = sorted(cursor.stale.union(hour for receipt in new.found for hour in receipt.hours))
        swept = cursor.swept
    rows = generations.rows_of(lake, candidates)
    states = generations.read(lake, catalog, [hour for hour in candidates if rows[hour]], rows)
    stale: list[Stale] = []
    unknown: dict[Hour, str] = {}
    for hour, state in sorted(states.items()):
        try:
            if missing := generations.new_rows(lake, state):
                stale.append(Stale(hour, tuple(missing), state.published))
        except (Damaged, Unreadable, NotFound) as error:
            unknown[hour] = str(error)
    problems = [*map(str, new.failed.values()), *(f"{hour}: {why}" for hour, why in unknown.items())]
    left = frozenset(one.hour for one in stale).union(unknown)
    return Search(stale, replace(cursor, seen=seen, swept=swept, stale=left), problems)


def _new_receipts(found: Iterable[Entry], cursor: Cursor) -> list[str]:
    return [e.key for e in found if cursor.seen is None or e.modified > cursor.seen - _RECEIPTS_OVERLAP]


def work_of(rows: Iterable[str]) -> str:
    """A short name for a set of rows files: the same work has the same name."""
    return layout.keys_digest(rows)


def is_due(stale: Stale, now: datetime, refresh: timedelta) -> bool:
    """Whether a stale hour is to be compacted now.

    An hour that was not yet published since it closed is due at its close, and one published since (late records) or
    still in progress every `refresh`; `refresh` 0 means at the close, and late records at once.
    """
    closed = now >= stale.hour.end + CLOSE_GRACE
    if not closed and not refresh:
        return False
    if stale.hour.start > now:
        return False
    if stale.published is None or (closed and stale.published.published < stale.hour.end):
        return True
    return now - stale.published.published >= refresh
