"""The capture log: what a capturer saw in one hour, as a JSON object in the lake."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from log_assets.hour import Hour
from log_assets.lake import Lake, layout
from log_assets.records import ids
from log_assets.records.ids import Range

LONGEST_ERROR = 500
"""Characters of an error that are kept."""


@dataclass(slots=True)
class CaptureLog:
    """What a capturer saw in one hour; written to the lake once a minute, and when the source fails or is back.

    `first_poll`, `last_poll` and `last_good` are times of this hour (the last good poll may be of one before), `error`
    is why the last poll failed, empty when it didn't.
    """

    capturer: str
    hour: Hour
    polls: int = 0
    failures: int = 0
    windows: int = 0
    longest_gap_seconds: float | None = None
    spooled: list[str] = field(default_factory=list)
    lost_ids: list[Range] = field(default_factory=list)
    first_poll: datetime | None = None
    last_poll: datetime | None = None
    last_good: datetime | None = None
    error: str = ""


def read_log(lake: Lake, key: str) -> CaptureLog | None:
    """A capture log; None when it is none. The capture role may write anything there."""
    try:
        data = orjson.loads(lake.get(key))
        gap = data["longest_gap_seconds"]
        return CaptureLog(
            capturer=str(data["capturer"]),
            hour=layout.hour_of(key),
            polls=int(data["polls"]),
            failures=int(data["failures"]),
            windows=int(data["windows"]),
            longest_gap_seconds=None if gap is None else float(gap),
            spooled=[str(fetched) for fetched in data["spooled"]],
            lost_ids=[(first, last) for first, last in data["lost_ids"] if ids.is_range(first, last)],
            # Those of 0.1.0 have no times.
            first_poll=_utc(data.get("first_poll")),
            last_poll=_utc(data.get("last_poll")),
            last_good=_utc(data.get("last_good")),
            error=str(data.get("error", ""))[:LONGEST_ERROR],
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None


def _utc(text: object) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment.astimezone(UTC)
