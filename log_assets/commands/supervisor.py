"""Runs several programs as one: restarts the one that ends, and stops them all without leaving any behind."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psutil

logger = logging.getLogger(__name__)

# Waits before a restart, the last for ever after; a program that ran a minute begins anew.
_BACKOFF = (1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_SECONDS = 60.0
_STOP_SECONDS = 7.0


@dataclass(slots=True)
class Program:
    """A command line under supervision; `environment` is in place of the supervisor's own."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    restarts: int = 0
    started: float = 0.0
    due: float = 0.0
    process: subprocess.Popen[bytes] | None = field(default=None)


def supervise(programs: Sequence[Program], stop: threading.Event) -> None:
    """Keep every program running until `stop` is set, then stop them all: first politely, after 7 s by force.

    Each gets a process group of its own, so that a Ctrl+C in the terminal reaches only the supervisor, which then
    stops them in order; whatever a program started stops with it.
    """
    children: dict[int, psutil.Process] = {}
    try:
        while not stop.is_set():
            for program in programs:
                _tend(program)
            children |= _descendants(programs)
            stop.wait(0.5)
    finally:
        children |= _descendants(programs)
        _stop(programs, children)


def _tend(program: Program) -> None:
    now = time.monotonic()
    if program.process is None:
        if now >= program.due:
            program.process = subprocess.Popen(  # noqa: S603
                program.command, env=program.environment, start_new_session=True
            )
            program.started = now
        return
    code = program.process.poll()
    if code is None:
        return
    program.restarts = 0 if now - program.started > _STEADY_SECONDS else program.restarts
    wait = _BACKOFF[min(program.restarts, len(_BACKOFF) - 1)]
    logger.error("%s ended with exit code %s; it is started again in %.0f s", program.name, code, wait)
    program.process, program.due, program.restarts = None, now + wait, program.restarts + 1


def _descendants(programs: Sequence[Program]) -> dict[int, psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for program in programs:
        if program.process is None:
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(program.process.pid).children(recursive=True):
                found[child.pid] = child
    return found


def _stop(programs: Sequence[Program], children: dict[int, psutil.Process]) -> None:
    running = [program.process for program in programs if program.process and program.process.poll() is None]
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
    end = time.monotonic() + _STOP_SECONDS
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, end - time.monotonic()))
    left = [child for child in children.values() if child.is_running()]
    _, left = psutil.wait_procs(left, timeout=max(0.1, min(1.0, end - time.monotonic())))
    for survivor in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            survivor.kill()
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()
    psutil.wait_procs(left, timeout=1)
