"""What is measured, a function a goal: each gives figures, of which the last is held against the goal."""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loky import cpu_count

from bench import data
from bench.child import scratch

CACHE = Path(__file__).parent.parent / ".cache" / "bench"
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Size:
    """How much of everything: the whole benchmark, or its quick form.

    `rounds` are those of each of `counts`; all else is measured `repeats` times at most.
    """

    counts: tuple[int, ...]
    rounds: tuple[int, ...]
    repeats: int
    big: int
    huge: int
    hours: int
    day: int
    single_runs: int


WHOLE = Size(
    counts=(10_000, 100_000),
    rounds=(2, 5),
    repeats=3,
    big=1_000_000,
    huge=5_000_000,
    hours=720,
    day=150_000,
    single_runs=6,
)
QUICK = Size(counts=(10_000,), rounds=(1,), repeats=1, big=50_000, huge=200_000, hours=24, day=5_000, single_runs=1)


@dataclass
class Results:
    """Raw samples by what they are of, and the lines of the table."""

    samples: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    goals: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, sample: dict[str, float]) -> None:
        self.samples.setdefault(name, []).append(sample)

    def median(self, name: str, figure: str = "seconds") -> float:
        return statistics.median(sample[figure] for sample in self.samples[name])

    def goal(self, what: str, figure: float, goal: float, least: float, *, more: bool, unit: str = "×") -> None:
        reached = figure >= least if more else figure <= least
        self.goals.append(
            {"what": what, "figure": figure, "goal": goal, "at least": least, "unit": unit, "reached": reached}
        )


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def dataset(mix: str, records: int, hours: int = 1, windows: int = data.WINDOWS_AN_HOUR) -> Path:
    folder = CACHE / f"{mix.replace(' ', '-')}-{records}-{hours}-{windows}"
    data.windows(folder, mix, records, windows, hours)
    (folder / "mix").write_text(mix)
    return folder


def child(module: str, folder: Path, cores: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.child", module, str(folder), str(cores)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} over {folder.name} failed: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout[done.stdout.rindex('{"seconds"') :])
    return found


def sides(size: Size, results: Results) -> None:
    """Windows to published hour, every side in turn, round by round."""
    for records, rounds in zip(size.counts, size.rounds, strict=True):
        for mix in data.MIXES:
            folder = dataset(mix, records)
            # Of the mix that the goals are about more rounds, and most of the two sides that are short and compared.
            is_first = mix == data.MIXES[0]
            rounds_of_peers = size.repeats if is_first else 1
            for round_ in range(rounds if is_first else min(rounds, 2)):
                for side in ("script", "with_dlt", "with_polars", "floor", "ours"):
                    if side == "with_polars" and mix == "odd records":
                        continue  # it breaks on them
                    if side in ("floor", "ours") or round_ < rounds_of_peers:
                        results.add(f"{side}, {mix}, {records}", child(side, folder, 1))
            say(f"{mix}, {records:,} records: {_ratios(results, mix, records)}")
    most = max(size.counts)
    mine = results.median(f"ours, {data.MIXES[0]}, {most}")
    script, dlt = (results.median(f"{side}, {data.MIXES[0]}, {most}") for side in ("script", "with_dlt"))
    floor = results.median(f"floor, {data.MIXES[0]}, {most}")
    results.goal(
        "records a second and core, windows to published hour, against script", script / mine, 10, 5, more=True
    )
    results.goal("the same against dlt", dlt / mine, 14, 7, more=True)
    results.goal("time against floor", mine / floor, 1.3, 2.5, more=False)
    for mix, goal, least in ((data.MIXES[1], 0.30, 0.40), (data.MIXES[0], 1.00, 1.06)):
        ours, theirs = (results.median(f"{side}, {mix}, {most}", "bytes") for side in ("ours", "script"))
        results.goal(f"bytes a record against script, {most:,} records, {mix}", ours / theirs, goal, least, more=False)


def big(size: Size, results: Results) -> None:
    """The same of a big hour, once, and the script once at all: it takes the same for each record, and that is long."""
    for mix in data.MIXES:
        folder = dataset(mix, size.big)
        for side in ("script", "ours") if mix == data.MIXES[0] else ("ours",):
            results.add(f"{side}, {mix}, {size.big}", child(side, folder, 1))
        say(f"{mix}, {size.big:,} records: {_ratios(results, mix, size.big)}")


def _ratios(results: Results, mix: str, records: int) -> str:
    mine = results.median(f"ours, {mix}, {records}")
    names = [name for name in results.samples if name.endswith(f", {mix}, {records}")]
    found = [
        f"{name.split(',')[0]} {results.median(name) / records * 1e6:.1f} µs ({results.median(name) / mine:.1f} ×)"
        for name in names
    ]
    return ", ".join(found)


def cores(size: Size, results: Results) -> None:
    """One core and all of them: a million records in one hour, and the same in 48 hours."""
    all_cores = cpu_count()
    for name, folder in (
        ("one hour", dataset(data.MIXES[0], size.big)),
        ("48 hours", dataset(data.MIXES[0], size.big // 48, hours=48, windows=max(4, data.WINDOWS_AN_HOUR // 12))),
    ):
        for _ in range(min(size.repeats, 2)):
            for number in (1, all_cores):
                results.add(f"ours, {name} of {size.big}, {number} cores", child("ours", folder, number))
        alone, together = (
            min(s["wall"] for s in results.samples[f"ours, {name} of {size.big}, {number} cores"])
            for number in (1, all_cores)
        )
        what = f"{all_cores} cores against 1, {size.big:,} records in {name}"
        results.goal(what, alone / together, 1.8, 1.6, more=True)
        say(f"{what}: {alone / together:.2f} ×")


def compaction(size: Size, results: Results) -> None:
    """Compaction alone against coreutils over the same lines, in 120 files."""
    from bench.hour import rows

    for records in (size.counts[-1], size.big):
        folder = rows(CACHE / f"rows-{records}", records, 120)
        for _ in range(size.repeats):
            results.add(f"coreutils, {records}", _coreutils(folder))
            results.add(f"compact, {records}", child("hour", folder, 1))
        mine, theirs = results.median(f"compact, {records}"), results.median(f"coreutils, {records}")
        what = f"compact alone, {records:,} rows in 120 files, time against coreutils"
        results.goal(what, mine / theirs, 0.3, 0.7, more=False)
        say(f"{what}: {mine / theirs:.2f} ×")


def _coreutils(folder: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="log_assets-bench-", dir=scratch()) as out:
        target = Path(out) / "sorted.gz"
        command = f"zcat {folder}/lake/rows/*/*.gz | LC_ALL=C sort -u --parallel=1 | gzip -6 > {target}"
        core = sorted(os.sched_getaffinity(0))[0]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(["taskset", "-c", str(core), "bash", "-c", command], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "bytes": target.stat().st_size,
        }


def memory(size: Size, results: Results) -> None:
    """The most memory for a huge hour, and the time a record there against a small one, on all cores."""
    from bench.hour import rows

    all_cores = cpu_count()
    small = min(50_000, size.huge // 4)
    for records, rounds in ((small, size.repeats), (size.huge, 1)):
        folder = rows(CACHE / f"rows-{records}", records, 120)
        for _ in range(rounds):
            results.add(f"compact on all cores, {records}", child("hour", folder, all_cores))
        if records == size.huge:
            results.add(f"compact on one core, {records}", child("hour", folder, 1))
            shutil.rmtree(folder)
    peak = results.median(f"compact on all cores, {size.huge}", "peak") / (1 << 20)
    results.goal(f"peak memory, {size.huge:,} records in one hour", peak, 600, 1024, more=False, unit=" MiB")
    each = [results.median(f"compact on all cores, {records}", "wall") / records for records in (size.huge, small)]
    what = f"time a record, {size.huge:,} in one hour against {small:,}"
    results.goal(what, each[0] / each[1], 1.3, 1.3, more=False)
    say(f"peak {peak:.0f} MiB; {what}: {each[0] / each[1]:.2f} ×")


def backfill(size: Size, results: Results) -> None:
    """Hours of captured windows to queryable through Dagster, as `log-assets backfill` does it."""
    from bench.month import backfill_of

    folder = dataset(data.MIXES[0], 3600, hours=size.hours, windows=4)
    found = backfill_of(folder, size.hours, size.single_runs)
    results.add(f"backfill of {size.hours} hours", found)
    say(f"backfill: {json.dumps({name: round(value, 3) for name, value in found.items()})}")
    results.goal(
        f"Dagster and bookkeeping, an hour in a backfill of {size.hours}",
        found["bookkeeping"] / size.hours * 1000, 50, 120, more=False, unit=" ms",
    )  # fmt: skip
    share = found["seconds"] / (found["single run"] * size.hours)
    results.goal(f"wall time of {size.hours} hours against a run an hour", share, 1 / 20, 1 / 10, more=False)


def windows(size: Size, results: Results) -> None:
    """CPU of one poll and one transform of 100 records."""
    found = child("window", dataset(data.MIXES[0], 10_000, windows=100), 1)
    results.add("one window of 100 records", found)
    results.goal("CPU of a poll of 100 records beyond HTTP and put", found["poll"] * 1000, 5, 5, more=False, unit=" ms")
    results.goal("CPU of its transform", found["transform"] * 1000, 10, 10, more=False, unit=" ms")


def queries(size: Size, results: Results) -> None:
    """A day's saved queries on the embedded engine, beside pandas over the same files and DuckDB over Parquet."""
    from bench.day import saved_queries_of

    for name, figures in saved_queries_of(CACHE / f"day-{size.day}", size.day):
        results.add(name, figures)
        say(f"{name}: {json.dumps({key: round(value, 3) for key, value in figures.items()})}")


def startup(size: Size, results: Results) -> None:
    """What a command and a capturer cost before they do anything, against Dagster's import."""
    from bench import startup as bench

    found = bench.run([bench.OWN], rounds=size.repeats)
    dagster, version, poll = found[bench.DAGSTER], found[f"{bench.OWN} --version"], found[f"{bench.OWN} poll"]
    results.add("start of a process", {"dagster": dagster["cpu"], "version": version["cpu"], "poll": poll["cpu"]})
    results.goal(
        "CPU of log-assets --version against import dagster", version["cpu"] / dagster["cpu"], 0.2, 0.4, more=False
    )
    results.goal("CPU of a poll at start against import dagster", poll["cpu"] / dagster["cpu"], 0.5, 1.0, more=False)
    results.goal("memory of a poll", poll["memory"] / (1 << 20), 80, 100, more=False, unit=" MiB")


TASKS = (startup, windows, sides, big, compaction, cores, memory, backfill, queries)


def run(size: Size) -> Iterator[Results]:
    """The results after each task, so that what is there can be kept."""
    results = Results()
    for task in TASKS:
        start = time.monotonic()
        task(size, results)
        say(f"-- {task.__name__}: {time.monotonic() - start:.0f} s")
        yield results
