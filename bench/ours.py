"""This project: captured windows in, published generation out, on the path that production runs, every check on."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from bench.data import bodies
from log_assets.lake import Lake
from log_assets.lake.format import check_format
from log_assets.ports import open_catalog, open_lake
from log_assets.records.token import Keyring
from log_assets.steps.capture import put_window
from log_assets.steps.pool import Pool
from log_assets.steps.publish import Published, publish
from log_assets.steps.receipts import pending
from log_assets.steps.transform import transform_all


def capture(data: Path, out: Path) -> Lake:
    """The windows, as a capturer leaves them."""
    lake = open_lake((out / "lake").as_uri())
    check_format(lake, create=True)
    for file in bodies(data):
        put_window(lake, file.read_bytes(), datetime.now(UTC))
    return lake


def ready(pool: Pool) -> None:
    """Start the pool's processes, with all that the work needs imported, as this one has it before a clock starts."""
    list(pool.map(_ready, range(pool.processes)))


def _ready(_: int) -> None:
    # Long enough for the others to come up and take their share.
    time.sleep(1)


def run(data: Path, out: Path, cores: int) -> dict[str, float]:
    """Gives the seconds of the whole, of transform and of compact with publish."""
    lake = capture(data, out)
    catalog = open_catalog(f"sqlite://{out}/catalog.db", lake.url)
    catalog.ensure()
    keyring = Keyring.parse((data / "f_key").read_text())
    with Pool(cores) as pool:
        ready(pool)
        # On one core its own time counts, whatever else the machine does; on several the wall's.
        clock = time.process_time if cores == 1 else time.perf_counter
        begun = time.perf_counter()
        start = clock()
        done = transform_all(lake, keyring, pending(lake), pool=pool)
        middle = clock()
        outcome = publish(lake, catalog, done.hours, lambda: datetime.now(UTC), pool=pool)
        end = clock()
    assert not done.problems()
    assert all(isinstance(one, Published) for one in outcome.values()), outcome
    wall = time.perf_counter() - begun
    return {"seconds": end - start, "wall": wall, "transform": middle - start, "compact": end - middle}
