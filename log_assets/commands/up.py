"""`log-assets up`: the capturer, Dagster's webserver and its daemon under one supervisor."""

from __future__ import annotations

import os
import socket
import sys
import threading

import click

from log_assets.commands.signals import stopped_by_signals
from log_assets.errors import SettingError
from log_assets.settings import Settings


def up(settings: Settings, port: int, *, read_only: bool, check: bool) -> None:
    """Run everything until Ctrl+C or SIGTERM; with `check` only say whether it could run.

    Raises:
        SettingError: the key or Dagster's folder is missing, or the port is taken.
    """
    settings.keyring()
    check_port(port)
    use_dagster_home(settings)
    if check:
        return
    from log_assets.commands.init import make_dagster_storage
    from log_assets.commands.supervisor import Program, supervise
    from log_assets.defs.private import DAEMON_MODULE

    make_dagster_storage(settings.dagster_home)
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


def use_dagster_home(settings: Settings) -> None:
    """Let Dagster find its folder; raises `SettingError` when `init` has not made it."""
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home.absolute())
    if not (settings.dagster_home / "dagster.yaml").exists():
        raise SettingError(f"{settings.dagster_home} has no dagster.yaml: run log-assets init")


def check_port(port: int) -> None:
    """Raises `SettingError` when a port of 127.0.0.1 is taken."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            raise SettingError(f"port {port} is taken: choose another with --port or PORT=…") from None
