"""Health: how capture is doing now, by what its logs in the lake say; needs neither key nor catalog nor Dagster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from log_assets.hour import Hour
from log_assets.lake import Lake, layout, listing
from log_assets.steps.capture import LOG_EVERY
from log_assets.steps.capture_log import CaptureLog, read_log

SILENT = timedelta(seconds=60)
"""A source that answered none of the polls of so long is told as down."""

DEAD = 3 * LOG_EVERY
"""A capturer that has written no log for so long is taken for dead."""

_START = "and what the source shows now is lost: start log-assets poll (log-assets up runs it)"


@dataclass(frozen=True, slots=True)
class Health:
    """Capture as it is now.

    Attributes:
        last_poll, last_good: when the source was asked last, and when it last answered; None when no log tells.
        polls, failures: of the hour in progress, over all capturers.
        problem: what a person has to know, in one sentence; empty when capture is well, or none is wanted.
    """

    last_poll: datetime | None = None
    last_good: datetime | None = None
    polls: int = 0
    failures: int = 0
    problem: str = ""

    def said(self, now: datetime) -> str:
        """One line for people."""
        if self.problem:
            return self.problem
        if self.last_good is None:
            return "no capturer ran in the last hour, and none is needed: this source keeps its history"
        counted = f"{self.polls} polls in this hour, {self.failures} failed" if self.polls else "none in this hour"
        return f"last good poll {ago(now - self.last_good)} ago; {counted}"


def capture_health(lake: Lake, now: datetime, *, wanted: bool) -> Health:
    """How capture is doing.

    Args:
        lake: where capturers write their logs.
        now: aware.
        wanted: whether a capturer has to run, since what the source shows is gone afterwards.
    """
    hour = Hour.of(now)
    logs = list(_logs(lake, hour.plus(-1), hour))
    own = [log for log in logs if log.hour == hour]
    polls, failures = sum(log.polls for log in own), sum(log.failures for log in own)
    polled = [log for log in logs if log.last_poll]
    if not polled:
        problem = f"no capturer has written a log in this hour or the one before, {_START}" if wanted else ""
        return Health(polls=polls, failures=failures, problem=problem)
    last = max(polled, key=lambda log: log.last_poll or now)
    good = max((log.last_good for log in polled if log.last_good), default=None)
    since = good or min(log.first_poll for log in polled if log.first_poll)
    problem = ""
    if last.last_poll and now - last.last_poll > DEAD:
        if wanted:
            problem = (
                f"the capturer {last.capturer} wrote its last log {ago(now - last.last_poll)} ago: it is dead, or the "
                f"lake is out of its reach, {_START}"
            )
    elif last.error and now - since > SILENT:
        problem = f"the source has not answered since {since:%H:%M:%S} UTC, {ago(now - since)}: {last.error}"
    return Health(last.last_poll, good, polls, failures, problem)


def _logs(lake: Lake, first: Hour, last: Hour) -> Iterable[CaptureLog]:
    for entry in listing.objects(lake, layout.CAPTURE, layout.hour_folder(layout.CAPTURE, first), last):
        log = read_log(lake, entry.key)
        if log is not None:
            yield log


def ago(span: timedelta) -> str:
    """A span of time as people say it, in one unit."""
    seconds = max(0, round(span.total_seconds()))
    for length, unit in ((86400, "days"), (3600, "hours"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
