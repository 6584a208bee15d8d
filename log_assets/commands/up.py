"""`log-assets up`: the capturer, Dagster's webserver and its daemon under one supervisor."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading

import click

from log_assets.commands.signals import stopped_by_signals
from log_assets.errors import SettingError
from log_assets.ports import Ports
from log_assets.settings import Settings


def up(settings: Settings, port: int, *, check: bool) -> None:
    """Run everything until Ctrl+C or SIGTERM; with `check` only say whether it could run.

    Raises:
        SettingError: the source, the key or Dagster's folder is missing, or the port is taken.
    """
    settings.keyring()
    Ports(settings).source().close()
    check_port(port)
    home = settings.dagster_folder()
    os.environ["DAGSTER_HOME"] = str(home)
    if not (home / "dagster.yaml").exists():
        raise SettingError(f"{home} has no dagster.yaml: run log-assets init")
    if check:
        return
    from log_assets.commands.init import make_dagster_storage
    from log_assets.commands.supervisor import Program, supervise
    from log_assets.defs.private import DAEMON_MODULE

    make_dagster_storage(home)
    module = ["-m", "log_assets.definitions"]
    programs = [
        Program("capturer", [sys.executable, "-m", "log_assets", "poll"]),
        Program("daemon", [sys.executable, "-m", DAEMON_MODULE, "run", *module]),
        Program(
            "webserver",
            [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), *module],
        ),
    ]
    stop = threading.Event()
    click.echo(f"Dagster's UI: http://127.0.0.1:{port}/assets (Ctrl+C ends everything)", err=True)
    with stopped_by_signals(stop):
        supervise(programs, stop)
    click.echo("stopped", err=True)


def check_port(port: int) -> None:
    """Raises `SettingError` when a port of 127.0.0.1 is taken, or not ours to take."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
            raise SettingError(f"port {port} {why}: choose another with --port or PORT=…") from None
