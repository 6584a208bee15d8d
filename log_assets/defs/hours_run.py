"""One run of the op `hours`: fetch, compact, publish and check, a hundred hours at a time, each told as it is done."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from log_assets.catalog import Partition
from log_assets.defs import checks, metadata
from log_assets.defs.keys import COMPACT_LOGS, LOGS_TABLE, RAW_LOGS
from log_assets.defs.private import latest_materializations
from log_assets.errors import LogAssetsError
from log_assets.hour import Hour
from log_assets.lake import Entry, layout
from log_assets.ports import Ports
from log_assets.records.token import Keyring
from log_assets.source import Source
from log_assets.steps import generations
from log_assets.steps.capture import capture_all, known_digests
from log_assets.steps.compact import Compacted, compact_all
from log_assets.steps.pool import Pool
from log_assets.steps.publish import Published, publish
from log_assets.steps.transform import Transformed, fetch, transform_all

FAILED_HOURS = "failed_hours"
# As many as one call to Glue takes are published and checked together; fewer, when their fetch has taken long already.
_HOURS_AT_ONCE = 100
_FETCH_SECONDS = 30.0


class HoursRun:
    """One run of the op: what is selected, over which ports, and what failed so far."""

    def __init__(self, context: dg.AssetExecutionContext, ports: Ports, pool: Pool) -> None:
        self._context = context
        self._ports = ports
        self._pool = pool
        self._lake, self._catalog = ports.lake(), ports.catalog()
        self._failed: dict[Hour, str] = {}
        self._publishing: dict[Hour, Compacted | None] = {}
        # Hours to check, and results that are told of them already: an interruption may come between two.
        self._unchecked: list[Hour] = []
        self._told: set[tuple[dg.AssetCheckKey, Hour]] = set()

    def fetched(self, wanted: Sequence[Hour], first: Hour) -> Iterator[Sequence[Hour]]:
        """Ask the source, write down and transform what it gives, and report the hours that came; gives the hours as
        they are to be published: not only when all of them were fetched."""
        keyring = self._ports.keyring()
        came = Transformed()
        with closing(self._ports.source()) as source:
            if source.has_history:
                known = known_digests(self._lake)
                since, some = time.monotonic(), list[Hour]()
                for hour in wanted:
                    self._fetch(hour, keyring, source, known, came)
                    some.append(hour)
                    if len(some) >= _HOURS_AT_ONCE or time.monotonic() - since >= _FETCH_SECONDS:
                        yield some
                        since, some = time.monotonic(), []
                if some:
                    yield some
            else:
                captured = capture_all(self._lake, source.windows(), _now)
                came = transform_all(self._lake, keyring, captured.windows, pool=self._pool)
                for problem in [*([captured.problem] if captured.problem else []), *came.problems()]:
                    self._context.log.error(str(problem))
                fresh = set(came.hours)
                for hour in wanted:
                    if hour not in fresh:
                        self._context.log.warning(f"{hour}: nothing came; {source.url} shows only what is recent")
                self._tell_raw(wanted, came, source.url)
                yield from chunks(wanted)
        now = Hour.of(_now())
        for hour in came.hours:
            if hour not in wanted and first <= hour <= now:
                self._materialized(RAW_LOGS, hour, metadata.raw(hour, came, source.url))

    def _fetch(self, hour: Hour, keyring: Keyring, source: Source, known: set[str], came: Transformed) -> None:
        try:
            captured, done = fetch(self._lake, keyring, source.history(hour.start, hour.end), _now, known)
        except LogAssetsError as error:
            self._fail(hour, str(error))
            return
        came.add(done)
        problems = [str(captured.problem)] if captured.problem else []
        if problems := problems + done.problems():
            self._fail(hour, "; ".join(problems))
        else:
            self._tell_raw([hour], done, source.url)

    def _tell_raw(self, hours: Sequence[Hour], came: Transformed, source_url: str) -> None:
        """Of an hour of which nothing came now, because it was there already, what is there."""
        fresh = set(came.hours)
        rest = [hour for hour in hours if hour not in fresh]
        rows: Mapping[Hour, tuple[Entry, ...]] = {}
        published: Mapping[Hour, Partition] = {}
        try:
            if rest:
                rows, published = generations.rows_of(self._lake, rest), self._catalog.get(rest)
        except LogAssetsError as error:
            self._context.log.warning(str(error))
        for hour in hours:
            told = metadata.raw(hour, came, source_url, rows.get(hour, ()), published.get(hour))
            self._materialized(RAW_LOGS, hour, told)

    def hours(self, wanted: Sequence[Hour]) -> None:
        """Compact and publish hours, as far as that is selected."""
        selected = self._context.selected_asset_keys
        compacted: dict[Hour, Compacted] = {}
        # An hour that could not be fetched is not published empty.
        todo = [hour for hour in wanted if hour not in self._failed]
        if COMPACT_LOGS in selected:
            outcomes = compact_all(self._lake, self._catalog, todo, self._pool)
            for hour, done in zip(todo, outcomes, strict=True):
                if isinstance(done, Compacted):
                    compacted[hour] = done
                    self._materialized(COMPACT_LOGS, hour, metadata.compacted(self._lake, done))
                else:
                    self._fail(hour, str(done))
        todo = [hour for hour in todo if hour not in self._failed]
        if LOGS_TABLE in selected:
            self._publishing = {hour: compacted.get(hour) for hour in todo}
            self._publish()
        else:
            self._unchecked += todo

    def _publish(self) -> None:
        compacted = {hour: done for hour, done in self._publishing.items() if done}
        outcomes = publish(self._lake, self._catalog, list(self._publishing), _now, compacted)
        for hour, outcome in outcomes.items():
            if isinstance(outcome, Published):
                self._materialized(LOGS_TABLE, hour, metadata.published(outcome))
                self._unchecked.append(hour)
            else:
                self._fail(hour, str(outcome))
            del self._publishing[hour]

    def check(self, *, to_come: bool = False) -> None:
        """The selected checks of the hours that went well since: together, for one query costs as much as one an hour.

        Args:
            to_come: whether the next hours are published too: then the last one waits for them, since ids that it
                lacks may be theirs.
        """
        todo = self._unchecked[:-1] if to_come else self._unchecked
        results = checks.evaluate(
            self._context.selected_asset_check_keys,
            self._lake,
            self._catalog,
            self._ports.query,
            todo,
            pool=self._pool,
            captured=self._ports.settings.must_be_captured,
            never_captured=self._never_captured,
        )
        left = (result for result in results if (result.key, result.hour) not in self._told)
        for evaluation in checks.evaluations(self._context.instance, left):
            self._context.log_event(evaluation)
            self._told.add((evaluation.asset_check_key, Hour(evaluation.partition or "")))
        self._unchecked = self._unchecked[len(todo) :]
        self._told.clear()

    def break_off(self) -> None:
        """Bring to its end what was being published when an interruption came, and check it: the catalog may have moved
        already, and nobody would be told. Another interruption breaks this off too."""
        self._publish()
        self.check()

    def _never_captured(self, hours: Sequence[Hour]) -> set[Hour]:
        """Of hours without a record those that nobody asked the source for: no run, and no capturer."""
        asked = latest_materializations(self._context.instance, RAW_LOGS, hours, _HOURS_AT_ONCE)
        return set(hours) - asked.keys() - set(self._lake.folders(layout.CAPTURE))

    def end(self) -> None:
        """Raises `Failure`, naming each hour that failed."""
        if self._failed:
            lines = [f"{hour}: {why}" for hour, why in sorted(self._failed.items())]
            raise dg.Failure(
                description=f"{len(lines)} of {len(self._context.partition_keys)} hours failed:\n" + "\n".join(lines),
                metadata={FAILED_HOURS: dg.MetadataValue.json(dict(sorted(self._failed.items())))},
                # The hours that went well are recorded; trying the whole range again would only repeat them.
                allow_retries=False,
            )

    def _materialized(self, asset: dg.AssetKey, hour: Hour, metadata: Mapping[str, Any]) -> None:
        self._context.log_event(dg.AssetMaterialization(asset, metadata=metadata, partition=hour))

    def _fail(self, hour: Hour, why: str) -> None:
        self._failed[hour] = f"{self._failed[hour]}; {why}" if hour in self._failed else why
        self._context.log.error(f"{hour}: {why}")


def chunks(hours: Sequence[Hour]) -> Iterator[Sequence[Hour]]:
    for start in range(0, len(hours), _HOURS_AT_ONCE):
        yield hours[start : start + _HOURS_AT_ONCE]


def _now() -> datetime:
    return datetime.now(UTC)
