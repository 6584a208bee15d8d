"""An hour of rows files, and its compaction alone: `unite`, and the put of what comes out."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from bench.data import BASE, HOUR, MIXES, records
from bench.ours import ready
from log_assets.lake import layout
from log_assets.ports import open_lake
from log_assets.records import codec, lines, row
from log_assets.steps.pool import Pool
from log_assets.steps.sorted_set import SortedSet
from log_assets.steps.union import unite


def rows(folder: Path, total: int, files: int) -> Path:
    """`total` rows of one hour in so many rows files, the users mostly new."""
    if not (folder / "done").exists():
        with Pool() as pool:
            for _ in pool.map(partial(_write, folder, total, total // files), range(files)):
                pass
        (folder / "done").touch()
    return folder


def _write(folder: Path, total: int, count: int, number: int) -> None:
    made = [repr(one).encode() for one in records(MIXES[0], range(number * count, (number + 1) * count), total)]
    packed = lines.pack(lines.content_of(codec.encode(made, BASE).lines[HOUR]))
    window = layout.window_name(BASE, f"{number:032x}")
    open_lake((folder / "lake").as_uri()).put(
        layout.rows_key(HOUR, window, row.ROW_VERSION, packed.digest), packed.data
    )


def run(data: Path, out: Path, cores: int) -> dict[str, float]:
    lake = open_lake((data / "lake").as_uri())
    with Pool(cores) as pool:
        ready(pool)
        clock = time.process_time if cores == 1 else time.perf_counter
        begun, start = time.perf_counter(), clock()
        sets = [
            SortedSet(entry.key, layout.digest_of(entry.key), row.ROW_VERSION, entry.size)
            for entry in lake.entries(f"{layout.ROWS}/{HOUR}")
        ]
        united = unite(lake, sets, pool)
        open_lake(out.as_uri()).put(layout.lines_key(HOUR, united.packed.digest), united.packed.data)
        seconds, wall = clock() - start, time.perf_counter() - begun
        return {"seconds": seconds, "wall": wall, "records": united.records}
