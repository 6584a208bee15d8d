"""A day on the embedded engine: the saved queries, beside pandas over the same files and DuckDB over Parquet."""

from __future__ import annotations

import random
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb
import pandas as pd

from bench.data import HOUR, RETURNING_USERS
from log_assets.catalog import Catalog, Move, Partition
from log_assets.hour import Hour
from log_assets.lake import layout
from log_assets.ports import open_catalog, open_engine, open_lake
from log_assets.query.sql import saved_queries
from log_assets.records import row
from log_assets.records.lineset import pack, union
from log_assets.records.summary import Summary
from log_assets.steps.pool import Pool

HOURS = 24
_SCHEMA = (
    "{user_id: 'VARCHAR', record_id: 'BIGINT', activity: 'VARCHAR', url: 'VARCHAR', method: 'INTEGER', "
    "name: 'VARCHAR', inDate: 'VARCHAR', detail: 'STRUCT(message VARCHAR, levelname VARCHAR)'}"
)


def saved_queries_of(folder: Path, records: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Seconds of each saved query over the day, and the bytes read for it; then the peers'."""
    catalog = _day(folder, records)
    engine = open_engine("duckdb://", catalog)

    def scanned(sql: str, bound: Sequence[str]) -> float:
        return float(engine.run(sql, bound).bytes_scanned)

    last = HOUR.plus(HOURS - 1)
    for name, query in saved_queries().items():
        sql, bound = query.bind({})
        yield f"query {name}", _timed(partial(scanned, sql, bound))
    sql, bound = saved_queries()["events_per_hour"].bind({"from_hour": last, "to_hour": last})
    yield "query events_per_hour of one hour", _timed(partial(scanned, sql, bound))
    files = [Path(partition.location.removeprefix("file://")) / "logs.json.gz" for partition in catalog.partitions()]
    yield "pandas, events per hour", _timed(lambda: _pandas(files))
    parquet = folder / "day.parquet"
    listed = ", ".join(f"'{file}'" for file in files)
    with duckdb.connect() as connection:
        if not parquet.exists():
            connection.execute(
                "COPY (SELECT *, regexp_extract(filename, '/compact/([0-9-]+)/', 1) AS hour "
                f"FROM read_json([{listed}], format = 'newline_delimited', filename = true, columns = {_SCHEMA})) "
                f"TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)"
            )
        on_parquet = (
            "SELECT hour, activity, count(*) AS events, count(DISTINCT user_id) AS users "
            f"FROM '{parquet}' GROUP BY ALL ORDER BY ALL"
        )
        yield "DuckDB over Parquet, events per hour", _timed(lambda: float(len(connection.sql(on_parquet).fetchall())))
    sizes = {"bytes": float(sum(file.stat().st_size for file in files)), "parquet": float(parquet.stat().st_size)}
    yield "stored, a record", {name: size / (HOURS * records) for name, size in sizes.items()}


def _timed(work: Callable[[], float]) -> dict[str, float]:
    start = time.perf_counter()
    figure = work()
    return {"seconds": time.perf_counter() - start, "bytes or rows": figure}


def _pandas(files: list[Path]) -> float:
    found = []
    for file in files:
        frame = pd.read_json(file, lines=True, dtype={"inDate": str}, convert_dates=False)
        grouped = frame.groupby("activity")
        found.append(pd.DataFrame({"events": grouped.size(), "users": grouped["user_id"].nunique()}))
    return float(sum(map(len, found)))


def _day(folder: Path, records: int) -> Catalog:
    folder.mkdir(parents=True, exist_ok=True)
    catalog = open_catalog(f"sqlite://{folder}/catalog.db", (folder / "lake").as_uri())
    catalog.ensure()
    if not list(catalog.partitions()):
        with Pool() as pool:
            made = list(pool.map(partial(_hour, folder, records), range(HOURS)))
        catalog.move([Move(None, partition) for partition in made])
    return catalog


def _hour(folder: Path, records: int, number: int) -> Partition:
    luck = random.Random(number)
    users = [urlsafe_b64encode(random.Random(i).randbytes(33)) for i in range(RETURNING_USERS)]
    hour: Hour = HOUR.plus(number)
    day = f"{hour[2:4]}{hour[5:7]}{hour[8:10]}{hour[11:13]}"
    made = []
    for i in range(records):
        milliseconds = i * 3_600_000 // records
        moment = f"{day}{milliseconds // 60_000:02}{milliseconds // 1000 % 60:02}{milliseconds % 1000:03}"
        activity = luck.choice(("view", "view", "view", "cart", "purchase"))
        made.append(
            b'{"user_id":"%b","record_id":%d,"activity":"%b","url":"/api/products/product/","method":2,'
            b'"name":"json_logger","inDate":"%b","detail":{"message":"POST %b","levelname":"INFO"}}\n'
            % (luck.choice(users), number * records + i, activity.encode(), moment.encode(), activity.encode())
        )
    everything = union(made)
    packed = pack(everything)
    lake = open_lake((folder / "lake").as_uri())
    lake.put(layout.lines_key(hour, packed.digest), packed.data)
    summary = Summary.of(len(everything), everything.record_ids(), len(packed.data), packed.size, row.ROW_VERSION)
    location = lake.location(layout.generation_folder(hour, packed.digest))
    return Partition(hour, packed.digest, location, summary, datetime.now(UTC))
