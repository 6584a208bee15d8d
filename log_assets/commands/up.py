"""`log-assets up`: the capturer, Dagster's webserver and its daemon under one supervisor."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from pathlib import Path

import click

from log_assets.commands.signals import stopped_by_signals
from log_assets.errors import SettingError
from log_assets.ports import Ports
from log_assets.settings import Settings


def up(settings: Settings, port: int, *, read_only: bool, check: bool) -> None:
    """Run everything until Ctrl+C or SIGTERM; with `check` only say whether it could run.

    Raises:
        SettingError: the source, the key or Dagster's folder is missing, or the port is taken.
    """
    settings.keyring()
    Ports(settings).source().close()
    check_port(port)
    home = use_dagster_home(settings)
    if check:
        return
    from log_assets.commands.init import make_dagster_storage
    from log_assets.commands.supervisor import Program, supervise
    from log_assets.defs.private import DAEMON_MODULE

    make_dagster_storage(home)
    ours = [sys.executable, "-m", "log_assets"]
    web = [*ours, "web", "--port", str(port), *(["--read-only"] if read_only else [])]
    programs = [
        Program("capturer", [*ours, "poll"]),
        Program("daemon", [sys.executable, "-m", DAEMON_MODULE, "run", "-m", "log_assets.definitions"]),
        # It launches nothing itself: runs and ticks are the daemon's, which has the key.
        Program("webserver", web, {name: value for name, value in os.environ.items() if name != "f_key"}),
    ]
    stop = threading.Event()
    click.echo(f"Dagster's UI: http://127.0.0.1:{port}/assets (Ctrl+C ends everything)", err=True)
    with stopped_by_signals(stop):
        supervise(programs, stop)
    click.echo("stopped", err=True)


def use_dagster_home(settings: Settings) -> Path:
    """Let Dagster find its folder, and give it; raises `SettingError` when `init` has not made it."""
    home = settings.dagster_folder()
    os.environ["DAGSTER_HOME"] = str(home)
    if not (home / "dagster.yaml").exists():
        raise SettingError(f"{home} has no dagster.yaml: run log-assets init")
    return home


def check_port(port: int) -> None:
    """Raises `SettingError` when a port of 127.0.0.1 is taken, or not ours to take."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
            raise SettingError(f"port {port} {why}: choose another with --port or PORT=…") from None
