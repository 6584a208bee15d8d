"""Dagster's webserver behind the guard, on 127.0.0.1."""

from __future__ import annotations

from collections.abc import Collection

import dagster as dg
import uvicorn
from dagster_webserver.app import create_app_from_workspace_process_context

from log_assets.defs.private import workspace_process
from log_assets.web.guard import Guard

ADDRESS = "127.0.0.1"
DEFINITIONS = "log_assets.definitions"

# As `dagster-webserver` has them: statements are cut off after 15 s, a pool's connections are renewed every hour.
_STATEMENT_MILLISECONDS = 15_000
_RECYCLE_SECONDS = 3_600
_MORE_CONNECTIONS = 20
# A browser's open connections don't hold up the end: who supervises this waits 7 s.
_STOP_SECONDS = 3


def serve(hosts: Collection[str], port: int, *, read_only: bool) -> None:
    """Serve the UI of the instance at DAGSTER_HOME until SIGINT or SIGTERM.

    Args:
        hosts: names, besides the loopback ones, under which it may be asked for (ALLOWED_HOSTS).
        port: on 127.0.0.1; nothing else is listened on.
        read_only: nothing can be launched, stopped or changed.
    """
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(_STATEMENT_MILLISECONDS, _RECYCLE_SECONDS, _MORE_CONNECTIONS)
        with workspace_process(instance, DEFINITIONS, read_only=read_only) as process:
            app = Guard(create_app_from_workspace_process_context(process), hosts)
            uvicorn.run(
                app,
                host=ADDRESS,
                port=port,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
