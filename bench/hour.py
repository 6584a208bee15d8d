"""An hour of rows files, and its compaction alone: `unite`, and the put of what comes out."""

from __future__ import annotations

import random
import time
from base64 import urlsafe_b64encode
from functools import partial
from pathlib import Path

from bench.data import BASE, HOUR
from log_assets.lake import layout
from log_assets.lake.open import open_lake
from log_assets.records import lines, row
from log_assets.steps.pool import Pool
from log_assets.steps.union import SortedSet, unite

_LINE = (
    b'{"user_id":"%b","record_id":%d,"activity":"view","url":"/api/products/product/","method":2,"name":"json_logger",'
    b'"inDate":"2303100148%05d","detail":{"message":"POST view","levelname":"INFO"}}\n'
)


def rows(folder: Path, records: int, files: int) -> Path:
    """`records` rows of one hour in so many rows files, the users new, 1 % of the lines in the next file as well."""
    if not (folder / "done").exists():
        with Pool() as pool:
            for _ in pool.map(partial(_write, folder, records // files), range(files)):
                pass
        (folder / "done").touch()
    return folder


def _write(folder: Path, count: int, number: int) -> None:
    found = []
    for start in ((number - 1) * count, number * count) if number else (0,):
        luck = random.Random(start)
        here = start == number * count
        made = [
            _LINE % (urlsafe_b64encode(luck.randbytes(33)), start + i, i % 100_000)
            for i in range(count if here else count // 100)
        ]
        found += made
    packed = lines.pack(b"".join(lines.union([found])))
    window = layout.window_name(BASE, f"{number:032x}")
    open_lake((folder / "lake").as_uri()).put(
        layout.rows_key(HOUR, window, row.ROW_VERSION, packed.digest), packed.data
    )


def run(data: Path, out: Path, cores: int) -> dict[str, float]:
    lake = open_lake((data / "lake").as_uri())
    with Pool(cores) as pool:
        list(pool.map(abs, range(cores)))
        start = time.perf_counter()
        sets = [
            SortedSet(entry.key, layout.digest_of(entry.key), row.ROW_VERSION, entry.size)
            for entry in lake.entries(f"{layout.ROWS}/{HOUR}")
        ]
        united = unite(lake, sets, pool)
        open_lake(out.as_uri()).put(layout.generation_key(HOUR, united.packed.digest), united.packed.data)
        return {"seconds": time.perf_counter() - start, "records": united.records}
