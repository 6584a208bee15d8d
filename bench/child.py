"""One measurement in a process of its own: `python -m bench.child SIDE DATA CORES` prints what it took as JSON."""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

_IN_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30


def scratch() -> Path:
    """Where the sides write: in memory, if there is room, so that the disk's mood is not measured with them."""
    if _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free >= _ROOM:
        return _IN_MEMORY
    return Path(tempfile.gettempdir())


class Memory:
    """The most memory that this process held; with `watch`, it and its children together, sampled now and then."""

    def __init__(self, *, watch: bool) -> None:
        self._watches = watch

    def __enter__(self) -> Memory:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.peak = max(self.peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)

    def _watch(self) -> None:
        me = psutil.Process()
        while self._watches and not self._stop.wait(0.1):
            total = 0
            for one in [me, *me.children(recursive=True)]:
                try:
                    total += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, total)


def main() -> None:
    side, data, cores = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    module = importlib.import_module(f"bench.{side}")
    with tempfile.TemporaryDirectory(prefix="log_assets-bench-", dir=scratch()) as folder:
        out = Path(folder)
        # On one core its own time counts, whatever else the machine does; on several the wall's.
        clock = time.process_time if cores == 1 else time.perf_counter
        start = clock()
        with Memory(watch=cores > 1) as memory:
            found = module.run(data, out, cores)
        seconds = clock() - start
        kept = [file for file in out.rglob("*.gz") if "/raw/" not in str(file) and "/rows/" not in str(file)]
        result = {"seconds": seconds, "bytes": sum(file.stat().st_size for file in kept), "peak": memory.peak}
        if isinstance(found, float):
            result["seconds"] = found
        elif found:
            result |= found
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
