"""The catalog in an SQLite file: the embedded default."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from log_assets.catalog import Move, Moved, Partition
from log_assets.errors import CatalogError, SettingError, shown
from log_assets.hour import Hour
from log_assets.records.summary import Summary

_TABLE = """
CREATE TABLE IF NOT EXISTS compact_logs (
    hour TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    location TEXT NOT NULL,
    summary TEXT NOT NULL,
    published TEXT NOT NULL
) STRICT
"""
_COLUMNS = "hour, digest, location, summary, published"
_BUSY_SECONDS = 30
_HOURS_A_QUERY = 500


def open_sqlite(url: str) -> SQLiteCatalog:
    """The catalog in a file.

    Raises:
        SettingError: no file is named.
    """
    parts = urlsplit(url)
    if not parts.path or parts.netloc:
        raise SettingError(
            f"CATALOG_URL={shown(url)} names no file: write sqlite:///folder/catalog.db, with three slashes"
        )
    return SQLiteCatalog(Path(unquote(parts.path)))


class SQLiteCatalog:
    """One row a published hour. A connection a call: so it may be used from any thread and process."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.url = f"sqlite://{quote(str(file))}"

    def check(self) -> None:
        # SQLite would make the file.
        if not self._file.exists():
            raise CatalogError(f"no catalog here: run log-assets init ({self.url} is none; CATALOG_URL names it)")
        with self._connection() as connection:
            connection.execute("SELECT hour FROM compact_logs LIMIT 0")

    def ensure(self) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogError(f"{self.url} cannot be made ({error.strerror}): check CATALOG_URL") from None
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_TABLE)

    def repair(self) -> str:
        made = not self._file.exists()
        self.ensure()
        return "made" if made else "as it should be"

    def get(self, hours: Iterable[Hour]) -> dict[Hour, Partition]:
        found: dict[Hour, Partition] = {}
        rest = iter(hours)
        with self._connection() as connection:
            while some := list(islice(rest, _HOURS_A_QUERY)):
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT {_COLUMNS} FROM compact_logs WHERE hour IN ({marks})",  # noqa: S608
                    some,
                )
                found.update((partition.hour, partition) for partition in map(self._partition, rows))
        return found

    def partitions(self, first: Hour | None = None, last: Hour | None = None) -> Iterator[Partition]:
        with self._connection() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM compact_logs WHERE hour BETWEEN ? AND ? ORDER BY hour",  # noqa: S608
                (first or "", last or "9999-12-31-23"),
            ).fetchall()
        return map(self._partition, rows)

    def move(self, moves: Sequence[Move]) -> dict[Hour, Moved | CatalogError]:
        outcome: dict[Hour, Moved | CatalogError] = {}
        with self._connection() as connection:
            # IMMEDIATE takes the write lock before the comparison, so nobody can move the hour in between.
            connection.execute("BEGIN IMMEDIATE")
            for move in moves:
                new = move.new
                values = {
                    "hour": new.hour,
                    "digest": new.digest,
                    "location": new.location,
                    "summary": json.dumps(new.summary.to_json(), separators=(",", ":")),
                    "published": new.published.isoformat(),
                    "expected": move.expected,
                }
                if move.expected is None:
                    done = connection.execute(
                        "INSERT INTO compact_logs VALUES (:hour, :digest, :location, :summary, :published) "
                        "ON CONFLICT (hour) DO NOTHING",
                        values,
                    )
                else:
                    done = connection.execute(
                        "UPDATE compact_logs SET digest = :digest, location = :location, summary = :summary, "
                        "published = :published WHERE hour = :hour AND digest = :expected",
                        values,
                    )
                outcome[new.hour] = Moved.DONE if done.rowcount else Moved.CONFLICT
            connection.execute("COMMIT")
        return outcome

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._file, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
                yield connection
        except sqlite3.Error as error:
            hint = (
                "run log-assets init"
                if "no such table" in str(error) or not self._file.exists()
                else "check CATALOG_URL"
            )
            raise CatalogError(f"{self.url} could not be used ({error}): {hint}") from None

    def _partition(self, row: tuple[str, str, str, str, str]) -> Partition:
        hour, digest, location, summary, published = row
        try:
            return Partition(
                Hour(hour),
                digest,
                location,
                Summary.from_json(json.loads(summary)),
                datetime.fromisoformat(published),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise CatalogError(
                f"{self.url} holds a row for {hour} that is no partition ({error}): delete the row, publish again"
            ) from None
