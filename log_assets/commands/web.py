"""`log-assets web`: Dagster's webserver alone, without the key."""

from __future__ import annotations

import os

from log_assets.commands.up import check_port, use_dagster_home
from log_assets.settings import WITHOUT_KEY, Settings


def web(port: int, *, read_only: bool) -> None:
    """Serve Dagster's UI, without the key, until Ctrl+C or SIGTERM.

    Raises:
        SettingError: a setting is malformed, Dagster's folder is missing, or the port is taken.
    """
    os.environ[WITHOUT_KEY] = "1"
    settings = Settings.load()
    check_port(port)
    use_dagster_home(settings)
    # Dagster itself reads `.env` of the working directory into the process that loads the definitions: so that
    # directory is one without, and what `.env` says is in the environment by now.
    os.environ["LOG_ASSETS_HOME"] = str(settings.home)
    os.chdir(settings.dagster_home)
    from log_assets.web.server import serve

    serve(settings.allowed_hosts, port, read_only=read_only)
