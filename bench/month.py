"""A backfill through Dagster: hours of captured windows to queryable, and what of its time is bookkeeping."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import ours
from bench.data import HOUR
from log_assets.ports import open_catalog, open_lake
from log_assets.records.token import Keyring
from log_assets.steps import audit
from log_assets.steps.compact import compact_all
from log_assets.steps.pool import Pool
from log_assets.steps.receipts import pending
from log_assets.steps.transform import transform_all


def backfill_of(data: Path, hours: int, single_runs: int) -> dict[str, float]:
    """Seconds of a backfill, of the codec in it alone (the same work without Dagster), and of one run an hour.

    `bookkeeping` is what is left of the run when the codec's share is taken off: Dagster's and ours.
    """
    with tempfile.TemporaryDirectory(prefix="log_assets-bench-") as folder:
        home = Path(folder) / "home"
        lake = ours.capture(data, home)
        environment = {
            "PATH": os.environ["PATH"],
            "SOURCE_URL": (Path(folder) / "source").as_uri(),
            "LOG_ASSETS_HOME": str(home),
            "START_HOUR": HOUR,
            "f_key": (data / "f_key").read_text(),
        }
        (Path(folder) / "source").mkdir()

        def log_assets(*arguments: str) -> float:
            start = time.perf_counter()
            command = [sys.executable, "-m", "log_assets", *arguments]
            done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{arguments}: {done.stdout[-1000:]} {done.stderr[-2000:]}")
            return time.perf_counter() - start

        log_assets("init")
        whole = log_assets("backfill", "--from", HOUR, "--to", HOUR.plus(hours - 1))
        # Again, as far as the codec goes, without Dagster.
        other = Path(folder) / "other"
        lake = ours.capture(data, other)
        catalog = open_catalog(f"sqlite://{other}/catalog.db", lake.url)
        catalog.ensure()
        with Pool() as pool:
            start = time.perf_counter()
            done = transform_all(lake, Keyring.parse(environment["f_key"]), pending(lake), pool=pool)
            read = time.perf_counter()
            list(compact_all(lake, catalog, done.hours, pool))
            compacted = time.perf_counter()
            published = open_catalog(f"sqlite://{home}/catalog.db", lake.url)
            first = open_lake((home / "lake").as_uri())
            some = list(published.partitions())[:24]
            sound = time.perf_counter()
            for partition in some:
                assert not audit.soundness(first, partition).problems
            sound = (time.perf_counter() - sound) / len(some) * hours / pool.processes
        started = log_assets("backfill", "--from", HOUR, "--to", HOUR)
        singles = []
        for number in range(single_runs):
            hour = HOUR.plus(number)
            # As a backfill without a policy does it: a run an hour.
            catalog_file = home / "catalog.db"
            catalog_file.unlink()
            singles.append(log_assets("backfill", "--from", hour, "--to", hour))
        return {
            "seconds": whole,
            "transform": read - start,
            "compact": compacted - read,
            "soundness": sound,
            "start": started,
            "bookkeeping": whole - (compacted - start) - sound - started,
            "single run": sum(singles) / len(singles),
        }
