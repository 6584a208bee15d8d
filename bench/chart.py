"""The chart of docs/performance.md: what a record costs on each side."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

from bench.data import MIXES
from bench.tasks import WHOLE, Results

_SIDES = {"with_dlt": "dlt", "script": "the script", "with_polars": "Polars", "ours": "log_assets", "floor": "floor"}


def draw(results: Results, target: Path) -> None:
    """Microseconds a record and core, and bytes a record, by side and mix."""
    records = max(WHOLE.counts)
    mpl.rcParams["svg.hashsalt"] = "log_assets"
    figure, (times, sizes) = plt.subplots(1, 2, figsize=(11, 3.6))
    height = 0.8 / len(MIXES)
    for offset, mix in enumerate(MIXES):
        for axis, what in ((times, "seconds"), (sizes, "bytes")):
            for place, side in enumerate(reversed(_SIDES)):
                name = f"{side}, {mix}, {records}"
                if name not in results.samples or (what == "bytes" and side == "floor"):
                    continue
                value = results.median(name, what) / records * (1e6 if what == "seconds" else 1)
                bar = axis.barh(place + (offset - 1) * height, value, height, color=f"C{offset}")
                axis.bar_label(bar, fmt="%.1f", padding=2, fontsize=7)
    for axis, title in ((times, "µs a record and core, windows to published hour"), (sizes, "bytes a record, stored")):
        axis.set_yticks(range(len(_SIDES)), list(reversed(_SIDES.values())))
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    times.legend([plt.Rectangle((0, 0), 1, 1, color=f"C{i}") for i in range(len(MIXES))], MIXES, fontsize=8)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)
