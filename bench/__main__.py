"""`make bench`: measures every side, prints the table, writes results.json and the chart."""

from __future__ import annotations

import json
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loky import cpu_count
from rich.console import Console
from rich.table import Table

from bench.chart import draw
from bench.child import scratch
from bench.tasks import QUICK, WHOLE, Results, run

OUT = Path(__file__).parent / "results.json"
CHART = Path(__file__).parent.parent / "docs" / "performance.svg"
PACKAGES = (
    "cryptography", "dagster", "deflate", "dlt", "duckdb", "isal", "loky", "numpy", "obstore", "orjson", "pandas",
    "polars", "pyarrow", "pybase64",
)  # fmt: skip


def main() -> None:
    quick = "--quick" in sys.argv
    start = time.monotonic()
    results = Results()
    for results in run(QUICK if quick else WHOLE):
        # What took minutes to measure is kept, whatever happens to the rest.
        _write(results, quick, time.monotonic() - start)
    table = Table(title=f"{_machine()['processor']}, {_machine()['cores']} cores, Python {platform.python_version()}")
    for column in ("what", "figure", "goal", "at least", ""):
        table.add_column(column, justify="left" if column in ("what", "") else "right", overflow="fold")
    for one in results.goals:
        goal, least = (f"{one[name]:.4g}{one['unit']}" for name in ("goal", "at least"))
        missed = "" if one["reached"] or quick else "MISSED"
        table.add_row(one["what"], f"{one['figure']:.3g}{one['unit']}", goal, least, missed)
    Console(width=None if sys.stdout.isatty() else 130).print(table)
    print(f"{time.monotonic() - start:.0f} s; raw samples in bench/{_target(quick).name}")
    if quick:
        print("This was the quick form, of little data: fixed costs weigh more, and nothing is held against a goal.")
    else:
        draw(results, CHART)


def _target(quick: bool) -> Path:
    return OUT.with_name("results-quick.json") if quick else OUT


def _machine() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    name = names[0].split(":", 1)[1].strip() if names else platform.processor()
    return {
        "processor": name,
        "cores": cpu_count(),
        "system": platform.system(),
        "sides write to": str(scratch()),
    }


def _write(results: Results, quick: bool, seconds: float) -> None:
    found = {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "quick": quick,
        "seconds": round(seconds),
        "machine": _machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "goals": results.goals,
        "samples": results.samples,
    }
    _target(quick).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
