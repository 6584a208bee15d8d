"""Which process executes a run: written into the run's tags, and read by whoever waits for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import psutil

_TAG = "log_assets/worker"


def tags() -> dict[str, str]:
    """This process's tag: host, process id, and when it started, since ids are used again."""
    return {_TAG: f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time()}"}


def is_gone(run_tags: Mapping[str, str]) -> bool:
    """Whether the process that a run was tagged with ran on this host and does no more; unknown counts as alive."""
    host, _, rest = run_tags.get(_TAG, "").partition(" ")
    if host != socket.gethostname() or not rest:
        return False
    process, started = rest.split(" ")
    try:
        return psutil.Process(int(process)).create_time() != float(started)
    except psutil.NoSuchProcess:
        return True
