"""What tests build pipelines of: real adapters in a folder, real tokens, records like the real ones."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from log_assets.catalog import Catalog, Move, Moved, Partition
from log_assets.hour import Hour
from log_assets.lake import Lake, layout
from log_assets.lake.format import check_format
from log_assets.ports import open_catalog, open_engine, open_lake
from log_assets.query import QueryEngine
from log_assets.records import ids, lines, row
from log_assets.records.summary import Summary
from log_assets.records.token import Keyring
from log_assets.steps import generations, receipts
from log_assets.steps.capture import put_window
from log_assets.steps.generations import Generation, read_lines
from log_assets.steps.publish import Published, publish
from log_assets.steps.receipts import Receipt
from log_assets.steps.transform import WrongKey, transform

Record = dict[str, Any]
BASE = datetime(2023, 3, 10, 1, 0, tzinfo=UTC)
H0 = Hour("2023-03-10-01")
"""The hour of `record(0)`."""

CONFORMANCE = "conformance"
"""The name under which a test notes a comparison of an engine's answer: the engine, and the number of rows."""

DATA = Path(__file__).parent / "data"


def record(number: int, moment: datetime | None = None, **fields: Any) -> Record:
    """A record of the real shape; `number` is its id and, in seconds after `BASE`, its time unless one is given."""
    moment = moment or BASE + timedelta(seconds=number)
    return {
        "user_id": f"{number % 97:064x}",
        "record_id": number,
        "activity": ("view", "cart", "purchase")[number % 3],
        "url": "/api/products/product/",
        "method": "POST",
        "name": "json_logger",
        "inDate": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
        "detail": {"message": "POST view", "levelname": "INFO"},
    } | fields


def full_record(number: int) -> Record:
    """A record with a value for every column of the schema but `extra`: a text for those that `record` lacks."""
    one = record(number)
    return one | {key: "a text" for key, _ in row.SCHEMA if key not in one and key != "extra"}


def older_line(one: Record, column: str) -> bytes:
    """The line of a record as a version wrote it that did not have `column` yet: its field stands in `extra`."""
    (found,) = row.encode([one], datetime.max.replace(tzinfo=UTC) - row.FUTURE)
    assert isinstance(found, row.Row)
    line = orjson.loads(found.line)
    del line[column]
    line["extra"] = json.dumps({**json.loads(line.get("extra", "{}")), column: one[column]}, separators=(",", ":"))
    return orjson.dumps({key: line[key] for key, _ in row.SCHEMA if key in line}) + b"\n"


def real_records() -> list[Record]:
    """The 40 real records, whole."""
    lines = (DATA / "source_records.tsv").read_text().splitlines()[1:]
    found = []
    for line in lines:
        record_id, user_id, activity, in_date = line.split("\t")
        found.append(
            record(
                int(record_id),
                user_id=user_id,
                activity=activity,
                inDate=in_date,
                detail={"message": f"POST {activity}", "levelname": "INFO"},
            )
        )
    return found


def envelope(tokens: Iterable[tuple[int | None, Any]]) -> bytes:
    """A window's body as the source sends it."""
    return json.dumps(
        [{"recordId": number, "ArrivalTimeStamp": 1678412891.818, "data": token} for number, token in tokens]
    ).encode()


def body(keyring: Keyring, records: Sequence[Record], write: Any = repr) -> bytes:
    """A window's body that holds `records`, their plaintext a dict repr (or `json.dumps`)."""
    return envelope(
        (one.get("record_id"), keyring.encrypt(write(one).encode("utf-8", "surrogatepass")).decode()) for one in records
    )


def partition(hour: Hour, digest: str) -> Partition:
    """A partition with the least and the greatest ids, for tests of what a catalog keeps."""
    summary = Summary(3, 100, 400, ((-(2**63), -5), (7, 2**63 - 1)), 1, 1)
    return Partition(hour, digest, f"file:///lake/compact/{hour}/{digest}/", summary, BASE + timedelta(hours=1))


@dataclass
class Kit:
    """A lake, a catalog and a key in a folder, and a clock that stands still until it is moved."""

    folder: Path
    keyring: Keyring = field(default_factory=lambda: Keyring.parse(Keyring.generate()))
    clock: datetime = BASE + timedelta(hours=6)
    lake_url: str = ""
    catalog_url: str = ""
    query_url: str = "duckdb://"

    def __post_init__(self) -> None:
        self.lake: Lake = open_lake(self.lake_url or (self.folder / "lake").as_uri())
        check_format(self.lake, create=True)
        self.catalog: Catalog = open_catalog(self.catalog_url or f"sqlite://{self.folder}/catalog.db", self.lake.url)
        self.catalog.ensure()
        self.engine: QueryEngine = open_engine(self.query_url, self.catalog)
        self.engine.ensure()

    @classmethod
    def in_cloud(cls, folder: Path, bucket: str, query_url: str = "duckdb://", clock: datetime | None = None) -> Kit:
        """With a lake of its own in `bucket`, and a Glue database of its own."""
        return cls(
            folder,
            clock=clock or BASE + timedelta(hours=6),
            lake_url=f"s3://{bucket}/{uuid.uuid4().hex}/lake",
            catalog_url=f"glue://logs_{uuid.uuid4().hex}",
            query_url=query_url,
        )

    def now(self) -> datetime:
        self.clock += timedelta(milliseconds=1)
        return self.clock

    def capture(self, records: Sequence[Record], write: Any = repr) -> str:
        return put_window(self.lake, body(self.keyring, records, write), self.now())

    def transform(self, window: str, keyring: Keyring | None = None) -> Receipt | WrongKey:
        return transform(self.lake, keyring or self.keyring, window)

    def land(self, records: Sequence[Record]) -> Receipt:
        """Capture and transform one window."""
        receipt = self.transform(self.capture(records))
        assert isinstance(receipt, Receipt)
        return receipt

    def publish(self, *hours: Hour) -> dict[Hour, Published]:
        outcome = publish(self.lake, self.catalog, hours, self.now)
        bad = {hour: error for hour, error in outcome.items() if not isinstance(error, Published)}
        assert not bad, bad
        return {hour: done for hour, done in outcome.items() if isinstance(done, Published)}

    def publish_older(self, records: Sequence[Record], column: str, hour: Hour = H0) -> Partition:
        """Land and publish records of an hour as the version before did, which did not have `column` yet."""
        content = lines.content_of([older_line(one, column) for one in records])
        packed, version = lines.pack(content), row.ROW_VERSION - 1
        window = self.capture(records)
        rows = layout.rows_key(hour, window, version, packed.digest)
        self.lake.put(rows, packed.data)
        found = ids.ids_of(content, len(records))
        receipts.put(
            self.lake, Receipt(window, (rows,), len(records), len(records), {}, ids.ranges_of(found), None, version)
        )
        summary = Summary.of(len(records), found, len(packed.data), packed.size, version)
        generations.write(self.lake, Generation(hour, packed.digest, frozenset([rows]), None, summary), packed)
        location = self.lake.location(layout.generation_folder(hour, packed.digest))
        older = Partition(hour, packed.digest, location, summary, self.now())
        assert self.catalog.move([Move(None, older)]) == {hour: Moved.DONE}
        return older

    def partition(self, hour: Hour = H0) -> Partition:
        return self.catalog.get([hour])[hour]

    def records(self, hour: Hour = H0) -> list[Record]:
        """The published hour's records, as the object that the partition points at holds them."""
        return row.restore(read_lines(self.lake, hour, self.partition(hour).digest))

    def ids(self, hour: Hour = H0) -> list[int]:
        return sorted(one["record_id"] for one in self.records(hour))

    def keys(self, prefix: str) -> list[str]:
        return [entry.key for entry in self.lake.entries(prefix)]

    def rows_keys(self, hour: Hour = H0) -> list[str]:
        return self.keys(f"rows/{hour}")

    def manifests(self, hour: Hour = H0) -> list[Generation]:
        """Every manifest of the published generation."""
        state = generations.read(self.lake, self.catalog, [hour])[hour]
        return generations.manifests(self.lake, hour, self.partition(hour).digest, state.current)

    def folded(self, hour: Hour = H0) -> frozenset[str]:
        """The rows files that the published generation holds."""
        return frozenset().union(*(manifest.rows for manifest in self.manifests(hour)))

    def stale(self, *hours: Hour) -> list[Hour]:
        """Those of `hours` with rows that are not published."""
        states = generations.read(self.lake, self.catalog, hours)
        return [hour for hour, state in states.items() if generations.new_rows(self.lake, state)]

    def age(self, hours: float) -> None:
        """Make everything in the lake older, by the store's clock too, and let the pipeline's clock go on."""
        stamp = time.time() - hours * 3600
        for path in (self.folder / "lake").rglob("*"):
            if path.is_file():
                os.utime(path, (stamp, stamp))
        self.clock += timedelta(hours=hours)
