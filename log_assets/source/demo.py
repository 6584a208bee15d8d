"""The demo source: records like the real ones, as a pure function of time and seed.

Asked twice for a time, it gives the same bytes twice: so a second demo adds to a first one, and a window polled and
the history of its hour hold the same records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from log_assets.records.ids import Range
from log_assets.records.token import Keyring
from log_assets.source import Body

WINDOW = 100
"""Records in one window."""

RATE = 3
"""Records a second."""

_EPOCH = datetime(2023, 3, 10, tzinfo=UTC)
_USERS = 4000
_JITTER_MS = 90
# As in the 40 real records: 31 views, 5 carts, 4 purchases.
_ACTIVITIES = ("view",) * 31 + ("cart",) * 5 + ("purchase",) * 4


@dataclass(frozen=True, slots=True)
class DemoRecords:
    """The records of one seed.

    A record's *number* counts from the epoch on; its `record_id` is the number, or counts from 1 again since `reset`.

    Attributes:
        seed: another seed makes other records.
        dropped: numbers that are never shown: what a source loses.
        reset: from this moment on the counter begins anew.
    """

    seed: int = 0
    dropped: tuple[Range, ...] = ()
    reset: datetime | None = None

    def first_number(self, moment: datetime) -> int:
        """The number of the first record that is not before `moment` (aware)."""
        number = int((moment - _EPOCH).total_seconds() * RATE) - 1
        while self.time_of(number) < moment:
            number += 1
        return number

    def numbers(self, start: datetime, end: datetime) -> list[int]:
        """The numbers shown from `start` on and before `end`."""
        wanted = range(self.first_number(start), self.first_number(end))
        return [n for n in wanted if not any(first <= n <= last for first, last in self.dropped)]

    def time_of(self, number: int) -> datetime:
        return _EPOCH + timedelta(milliseconds=number * 1000 // RATE + self._draw(number) % _JITTER_MS)

    def record_id(self, number: int) -> int:
        first = self.first_number(self.reset) if self.reset else None
        return number if first is None or number < first else number - first + 1

    def record(self, number: int) -> dict[str, Any]:
        draw = self._draw(number)
        moment = self.time_of(number)
        activity = _ACTIVITIES[(draw >> 8) % len(_ACTIVITIES)]
        # The square makes low numbers likely: a few users come often.
        user = int(((draw >> 16 & 0xFFFFFFFF) / 2**32) ** 2 * _USERS)
        return {
            "user_id": _user_id(self.seed, user),
            "record_id": self.record_id(number),
            "activity": activity,
            "url": "/api/products/product/",
            "method": "POST",
            "name": "json_logger",
            "inDate": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
            "detail": {"message": f"POST {activity}", "levelname": "INFO"},
        }

    def body(self, keyring: Keyring, numbers: Iterable[int]) -> bytes:
        """A window as the real source writes it: each record a Fernet token over the repr of a dict."""
        return orjson.dumps([self._item(keyring, number) for number in numbers])

    def window(self, keyring: Keyring, now: datetime, late: Collection[int] = ()) -> bytes:
        """The last records before `now`, and those of `late` that came in after their time."""
        shown = self.numbers(now - timedelta(seconds=2 * WINDOW / RATE), now)[-WINDOW:]
        return self.body(keyring, [*late, *shown])

    def _item(self, keyring: Keyring, number: int) -> dict[str, Any]:
        record = self.record(number)
        seconds = self.time_of(number).timestamp()
        iv = hashlib.blake2b(b"%d %d" % (self.seed, number), digest_size=16).digest()
        token = keyring.seal(repr(record).encode(), int(seconds), iv)
        return {"recordId": record["record_id"], "ArrivalTimeStamp": seconds, "data": token.decode()}

    def _draw(self, number: int) -> int:
        """64 bits that look random (splitmix64)."""
        z = (number * 0x9E3779B97F4A7C15 + self.seed * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return z ^ (z >> 31)


@lru_cache(maxsize=2 * _USERS)
def _user_id(seed: int, user: int) -> str:
    return hashlib.sha256(b"demo user %d %d" % (seed, user)).hexdigest()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class DemoSource:
    """The demo records in process, as a rolling window and as history."""

    has_history = True
    rolling = True

    def __init__(self, keyring: Keyring, seed: int = 0, now: Callable[[], datetime] = _utc_now) -> None:
        self._keyring, self._records, self._now = keyring, DemoRecords(seed), now
        self.url = "demo://" + (f"?seed={seed}" if seed else "")

    def windows(self) -> Iterator[Body]:
        yield Body(self._records.window(self._keyring, self._now()), self.url)

    def history(self, start: datetime, end: datetime) -> Iterator[Body]:
        numbers = self._records.numbers(start, min(end, self._now()))
        yield Body(self._records.body(self._keyring, numbers), f"{self.url} from {start.isoformat()}")

    def close(self) -> None:
        """Nothing is held open."""
