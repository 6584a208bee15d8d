"""What a process costs before it does anything: CPU and memory of `log-assets`, of one or more installations in turn.

`python -m bench.startup [BIN …]` takes the `log-assets` of this environment and of others, say of the commit before,
and `python -c "import dagster"` beside them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, make_server

import psutil

_WINDOW = b"[" + b",".join(b'{"recordId":%d,"data":"%s"}' % (n, b"x" * 300) for n in range(100)) + b"]"
_POLL_SECONDS = 4.0

DAGSTER = "import dagster"
OWN = str(Path(sys.executable).with_name("log-assets"))


def measured(command: Sequence[str], environment: Mapping[str, str], seconds: float | None = None) -> tuple[float, int]:
    """CPU seconds and bytes of memory of a process: at its end, or after so many seconds, when it is ended politely."""
    with tempfile.TemporaryDirectory(prefix="log_assets-bench-") as folder:
        process = psutil.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LOG_ASSETS_HOME": folder, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if seconds is None:
            _, _, used = os.wait4(process.pid, 0)
            return used.ru_utime + used.ru_stime, used.ru_maxrss << 10
        time.sleep(seconds)
        cpu, memory = process.cpu_times(), process.memory_info().rss
        process.send_signal(signal.SIGTERM)
        process.wait()
        return cpu.user + cpu.system, memory


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None: ...


def run(binaries: Sequence[str], rounds: int = 5) -> dict[str, dict[str, float]]:
    """The median of each figure, by what was started; the sides take turns."""

    def answer(_: object, start: Callable[..., object]) -> list[bytes]:
        start("200 OK", [("Content-Type", "application/json")])
        return [_WINDOW]

    server = make_server("127.0.0.1", 0, answer, handler_class=_Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    environment = {"SOURCE_URL": f"http://127.0.0.1:{server.server_port}/logs"}
    sides: dict[str, tuple[list[str], float | None]] = {
        "import dagster": ([sys.executable, "-c", "import dagster"], None)
    }
    for binary in binaries:
        sides[f"{binary} --version"] = ([binary, "--version"], None)
        sides[f"{binary} poll"] = ([binary, "poll"], _POLL_SECONDS)
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (command, seconds) in sides.items():
            found[name].append(measured(command, environment, seconds))
    server.shutdown()
    return {
        name: {"cpu": median(cpu for cpu, _ in some), "memory": median(memory for _, memory in some)}
        for name, some in found.items()
    }


if __name__ == "__main__":
    for name, figures in run([OWN, *sys.argv[1:]]).items():
        print(f"{figures['cpu']:6.2f} s CPU {figures['memory'] / 2**20:6.0f} MiB  {name}")
