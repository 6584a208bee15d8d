"""Due: which hours are to be compacted now, and which windows are to be read, as set differences of listings.

A cursor narrows the listing to the last day of landings, and one sweep a day lists everything, so a cursor that
is lost or wrong delays work and never loses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from log_assets.catalog import Catalog, Partition
from log_assets.hour import Hour
from log_assets.lake import Entry, Lake, layout
from log_assets.steps import generations, receipts

# Windows may be put by several clocks; one that is a day off is still seen between two sweeps.
_OVERLAP_HOURS = 24
_RECEIPTS_OVERLAP = timedelta(minutes=10)
_SWEEP_EVERY = timedelta(days=1)
# The last windows of an hour land, and are read, a little after its end.
CLOSE_GRACE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the last search ended: the newest receipt's time by the store, the last sweep, hours known to be stale."""

    seen: datetime | None = None
    swept: datetime | None = None
    stale: frozenset[Hour] = field(default_factory=frozenset)

    def to_json(self) -> str:
        return json.dumps(
            {
                "seen": self.seen.isoformat() if self.seen else None,
                "swept": self.swept.isoformat() if self.swept else None,
                "stale": sorted(self.stale),
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
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def sweeps(self, now: datetime) -> bool:
        return self.seen is None or self.swept is None or now - self.swept >= _SWEEP_EVERY


@dataclass(frozen=True, slots=True)
class Stale:
    """An hour with rows that its published generation lacks; `work` names just these rows."""

    hour: Hour
    work: str
    published: Partition | None


def windows_since(now: datetime, cursor: Cursor) -> Hour | None:
    """The first landing hour that a search has to list; None for all of them."""
    return None if cursor.sweeps(now) else Hour.of(now).plus(-_OVERLAP_HOURS)


def find_stale(lake: Lake, catalog: Catalog, cursor: Cursor, now: datetime) -> tuple[list[Stale], Cursor]:
    """The hours that are stale now, in order of time, and the cursor for the next time."""
    since = windows_since(now, cursor)
    found = list(lake.entries(layout.RECEIPTS, layout.hour_folder(layout.RECEIPTS, since) if since else ""))
    seen = max((entry.modified for entry in found), default=cursor.seen or now)
    if since is None:
        candidates = [Hour(name) for name in lake.folders(layout.ROWS)]
        swept: datetime | None = now
    else:
        candidates = sorted(cursor.stale | _hours_of_new_receipts(lake, found, cursor))
        swept = cursor.swept
    rows = generations.rows_of(lake, candidates)
    states = generations.read(lake, catalog, [hour for hour in candidates if rows[hour]], rows)
    stale = [
        Stale(hour, work_of(entry.key for entry in new), state.published)
        for hour, state in sorted(states.items())
        if (new := generations.new_rows(lake, state))
    ]
    return stale, Cursor(seen, swept, frozenset(one.hour for one in stale))


def _hours_of_new_receipts(lake: Lake, found: Iterable[Entry], cursor: Cursor) -> frozenset[Hour]:
    new = [e.key for e in found if cursor.seen is None or e.modified > cursor.seen - _RECEIPTS_OVERLAP]
    return frozenset(hour for receipt in receipts.read(lake, new) for hour in receipt.hours)


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
