"""Capture: fetch what the source shows and write it down, unchanged.

The source shows a rolling window; what is not fetched before it rolls on is gone for ever. So capture needs no key,
no catalog and no Dagster, puts under `raw/` and `capture/` only, and waits in a local spool when the lake cannot be
written. It parses a body just far enough to see which record ids it holds: to pace itself, and to say when some
fell between two windows.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from log_assets.errors import Damaged, LakeError, SourceError
from log_assets.hour import Clock, Hour
from log_assets.lake import Entry, Lake, layout, listing
from log_assets.records import envelope, ids, lines
from log_assets.source import Body, Source
from log_assets.steps.capture_log import LONGEST_ERROR, CaptureLog

logger = logging.getLogger(__name__)

LOG_EVERY = timedelta(minutes=1)
WATCH_SECONDS = 30.0
MAX_SPOOL = 1 << 30


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two polls: aims at `overlap` of each window being known already, between floor and ceiling."""

    first: float = 5.0
    floor: float = 1.0
    ceiling: float = 20.0
    overlap: float = 0.5

    def next(self, now: float, new: int, total: int, elapsed: float) -> float:
        """The next interval, from `new` of `total` records having come in `elapsed` seconds."""
        if total == 0 or elapsed <= 0:
            return now
        if new == 0:
            return min(self.ceiling, 1.5 * now)
        if new >= total:
            return max(self.floor, now / 2)
        wanted = elapsed * total * (1 - self.overlap) / max(new, 1)
        # Halfway there: one burst or lull should not make it swing.
        return min(self.ceiling, max(self.floor, (now + wanted) / 2))

    def after_failure(self, failed: int) -> float:
        """The wait after `failed` polls in a row that failed: twice as long each time, and a random part less."""
        longest = min(self.ceiling, self.floor * 2.0 ** min(failed, 10))
        return longest * random.uniform(0.75, 1)  # noqa: S311 (spreads polls, and guards nothing)


def known_digests(lake: Lake) -> set[str]:
    """Digests of all bodies that were ever put, tidied ones included."""
    return {
        layout.window_digest(layout.window_of(entry.key))
        for prefix in (layout.RAW, layout.RECEIPTS)
        for entry in listing.objects(lake, prefix)
    }


def put_window(lake: Lake, body: bytes, now: datetime) -> str:
    """Write one body down; gives the window's name."""
    packed = lines.pack(body)
    window = layout.window_name(now, packed.digest)
    lake.put(layout.raw_key(window), packed.data)
    return window


@dataclass(frozen=True, slots=True)
class Captured:
    """The windows that are new, and what kept the source from giving all it has."""

    windows: list[str]
    problem: SourceError | None = None


def capture_all(
    lake: Lake,
    bodies: Iterable[Body],
    now: Clock,
    known: set[str] | None = None,
    then: Callable[[str, bytes], None] = lambda window, body: None,
) -> Captured:
    """Write down bodies that stay where they are (a folder, a history); those that the lake knows are skipped.

    A source that fails half-way leaves what it gave before: the failure is returned, not raised.

    Args:
        lake, bodies, now: where, what, and the clock.
        known: digests of the bodies that the lake has, to which the new ones are added; None: they are listed.
        then: called with each new window's name and body.
    """
    known = known_digests(lake) if known is None else known
    windows = []
    try:
        for body in bodies:
            digest = lines.digest(body.content)
            if digest in known or envelope.is_empty(body.content):
                continue
            known.add(digest)
            windows.append(put_window(lake, body.content, now()))
            then(windows[-1], body.content)
    except SourceError as error:
        return Captured(windows, error)
    return Captured(windows)


def watch(source: Source, lake: Lake, now: Clock, stop: threading.Event) -> None:
    """Write down what comes into a source that doesn't roll on (a folder), until `stop` is set."""
    said = ""
    while not stop.is_set():
        captured = capture_all(lake, source.windows(), now)
        if captured.windows:
            logger.info("captured %d new windows", len(captured.windows))
        problem = str(captured.problem or "")
        if problem and problem != said:
            logger.error("%s", problem)
        said = problem
        stop.wait(WATCH_SECONDS)


class Capturer:
    """Polls a rolling window until it is told to stop."""

    def __init__(self, source: Source, lake: Lake, spool: Lake, now: Clock, pace: Pace | None = None) -> None:
        self._source, self._lake, self._spool, self._now = source, lake, spool, now
        self._pace = pace or Pace()
        self._interval = self._wait = self._pace.first
        self._failed = 0
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._log = CaptureLog(self._name, Hour.of(now()))
        self._logged: datetime | None = None
        self._last_digest = ""
        self._last_good: datetime | None = None
        self._seen: set[int | str] = set()
        self._top: int | None = None
        self._waiting = sum(entry.size for entry in self._spooled())

    def run(self, stop: threading.Event) -> None:
        """Poll until `stop` is set; the window in hand is written first."""
        try:
            while not stop.is_set():
                was_failing = bool(self._log.error)
                self.poll()
                turned = was_failing is not bool(self._log.error)
                # At once after the first poll: until then nobody knows that it runs.
                is_due = self._logged is None or self._now() - self._logged >= LOG_EVERY
                if turned or is_due or Hour.of(self._now()) != self._log.hour:
                    self.write_log()
                stop.wait(self._wait)
        finally:
            self.write_log()

    def poll(self) -> list[str]:
        """Fetch once and write down what is new; gives the names of the windows put into the lake.

        A source that fails is counted and reported, not raised. It is asked again ever later, but never so late that a
        window could roll past once it is back, unless it says itself when it wants to be asked.
        """
        self._log.polls += 1
        self._log.last_poll = self._now()
        self._log.first_poll = self._log.first_poll or self._log.last_poll
        windows = self.deliver()
        try:
            bodies = list(self._source.windows())
        except SourceError as error:
            self._log.failures += 1
            self._log.error = str(error)[:LONGEST_ERROR]
            self._failed += 1
            self._wait = self._pace.after_failure(self._failed) if error.retry_after is None else error.retry_after
            logger.error("%s", error)
            return windows
        if self._failed:
            logger.warning("the source answers again, after %d polls that failed", self._failed)
        self._log.error, self._failed = "", 0
        moment = self._now()
        self._log.last_good = moment
        for body in bodies:
            windows += self._keep(body, moment)
        if self._last_good is not None:
            gap = (moment - self._last_good).total_seconds()
            self._log.longest_gap_seconds = max(gap, self._log.longest_gap_seconds or 0.0)
        self._last_good = moment
        self._wait = self._interval
        return windows

    def deliver(self) -> list[str]:
        """Put what waits in the spool into the lake, oldest first; gives the names of the windows put."""
        delivered: list[str] = []
        if not self._waiting:
            return delivered
        try:
            waiting = self._spooled()
            for entry in waiting:
                fetched = layout.name_of(entry.key)
                try:
                    body = lines.unpack(self._spool.get(entry.key), layout.window_digest(fetched), entry.key)
                except Damaged as error:
                    # It stays, for a person to see, and the others go on.
                    logger.error("a window in the spool cannot be delivered: %s", error)
                    continue
                delivered.append(put_window(self._lake, body, self._now()))
                self._log.spooled.append(layout.window_landed(fetched).isoformat())
                self._spool.delete([entry.key])
            self._waiting = 0
        except LakeError as error:
            logger.error("windows still wait in the spool: %s", error)
        if delivered:
            logger.info("delivered %d windows from the spool", len(delivered))
        return delivered

    def _spooled(self) -> list[Entry]:
        return [entry for entry in self._spool.entries("") if layout.is_spooled(entry.key)]

    def write_log(self) -> None:
        """Write the capture log down, and begin another one when the hour has changed."""
        try:
            content = orjson.dumps(self._log)
            self._lake.replace(layout.capture_key(self._log.hour, self._name), content)
            self._logged = self._now()
        except LakeError as error:
            logger.error("the capture log waits: %s", error)
            return
        hour = Hour.of(self._now())
        if hour != self._log.hour:
            self._log = CaptureLog(self._name, hour, last_good=self._last_good, error=self._log.error)

    def _keep(self, body: Body, moment: datetime) -> list[str]:
        digest = lines.digest(body.content)
        if digest == self._last_digest or envelope.is_empty(body.content):
            self._interval = self._pace.next(self._interval, 0, 1, self._elapsed(moment))
            return []
        # Written down first: whatever is in it, and whatever that does to a parser, the window is kept.
        try:
            window = put_window(self._lake, body.content, self._now())
        except LakeError as error:
            self._put_in_spool(body.content, moment, error)
            windows = []
        else:
            windows = [window]
        self._last_digest = digest
        self._log.windows += 1
        try:
            self._adjust(body, moment)
        except Exception as error:
            self._log.failures += 1
            logger.error(
                "%s answered with something that cannot be looked through (%s)", body.name, type(error).__name__
            )
        return windows

    def _put_in_spool(self, body: bytes, moment: datetime, reason: LakeError) -> None:
        packed = lines.pack(body)
        if self._waiting + len(packed.data) > MAX_SPOOL:
            self._log.failures += 1
            logger.error("a window is lost: the spool %s is full and %s", self._spool.url, reason)
            return
        try:
            self._spool.put(layout.spool_key(layout.window_name(moment, packed.digest)), packed.data)
        except LakeError as error:
            self._log.failures += 1
            logger.error("a window is lost: %s, and %s", reason, error)
            return
        self._waiting += len(packed.data)
        logger.error("a window waits in the spool %s: %s", self._spool.url, reason)

    def _elapsed(self, moment: datetime) -> float:
        return (moment - self._last_good).total_seconds() if self._last_good else 0.0

    def _adjust(self, body: Body, moment: datetime) -> None:
        """Pace by how much of the window is new, and note the ids that fell between this window and the last."""
        items = envelope.read(body.content)
        if items.unread:
            self._log.failures += 1
            logger.error("%s answered with something that is no list of records; it is kept all the same", body.name)
            return
        found = envelope.identities(items.items)
        new = found - self._seen
        if self._seen:
            before = self._interval
            self._interval = self._pace.next(self._interval, len(new), len(found), self._elapsed(moment))
            if len(new) == len(found) and before != self._interval:
                logger.warning("windows do not overlap: polling every %.1f s now", self._interval)
        numbers = [number for number in found if isinstance(number, int)]
        if numbers and self._top is not None and 1 < min(numbers) - self._top <= ids.RESET_JUMP:
            lost = (self._top + 1, min(numbers) - 1)
            self._log.lost_ids.append(lost)
            logger.warning("records fell between two windows: ids %s", ids.write([lost]))
        if numbers:
            self._top = max(numbers)
        self._seen = found
