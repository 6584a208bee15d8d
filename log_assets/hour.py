"""The hour's one identity: Dagster partition key, Athena partition value and folder name alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Self

from log_assets.errors import HourError

PARTITION_FORMAT = "%Y-%m-%d-%H"

Clock = Callable[[], datetime]
"""Gives the time now, aware: steps are given a clock and never read one themselves."""

_SHAPE = re.compile(r"\d{4}-\d{2}-\d{2}-\d{2}", re.ASCII)
_LENGTH = timedelta(hours=1)


class Hour(str):
    """A UTC hour such as ``2023-03-10-01``. Being text of fixed width, hours sort in order of time.

    Raises:
        HourError: the text has another form, or names no hour of the calendar.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _SHAPE.fullmatch(text):
            raise HourError(f"{text!r} is no hour: write it as YYYY-MM-DD-HH in UTC, like 2023-03-10-01")
        try:
            datetime.strptime(text, PARTITION_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            raise HourError(f"{text!r} is no hour of the calendar: hours run from 00 to 23, in UTC") from None
        return super().__new__(cls, text)

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """The hour that holds an aware `moment`."""
        utc = moment.astimezone(UTC)
        # strftime drops the leading zeros of years before 1000.
        return super().__new__(cls, f"{utc.year:04}-{utc.month:02}-{utc.day:02}-{utc.hour:02}")

    @property
    def start(self) -> datetime:
        return datetime.strptime(self, PARTITION_FORMAT).replace(tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment after the hour."""
        return self.start + _LENGTH

    def plus(self, hours: int) -> Hour:
        return Hour.of(self.start + hours * _LENGTH)


def hours_between(first: Hour, last: Hour) -> Iterator[Hour]:
    """Every hour from `first` to `last`, both included; none when `last` is before `first`."""
    hour = first
    while hour <= last:
        yield hour
        hour = hour.plus(1)


def contiguous(hours: list[Hour]) -> list[list[Hour]]:
    """Sorted hours, cut into runs without a hole."""
    runs: list[list[Hour]] = []
    for hour in hours:
        if runs and runs[-1][-1].plus(1) == hour:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    return runs
