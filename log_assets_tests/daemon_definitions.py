"""The definitions as the daemon tests load them: the real ones, with a hurried sensor and a lake that can be held up.

While the file `hold` stands in LOG_ASSETS_HOME, a compaction that is about to write a generation touches `compacting`
and waits.
"""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from log_assets.definitions import build_defs
from log_assets.defs.resources import resources
from log_assets.defs.sensors import Rules
from log_assets.lake import Lake
from log_assets.ports import Ports
from log_assets.settings import Settings

RULES = Rules(
    refresh=timedelta(0),
    interval_seconds=1,
    attempts=2,
    backoff=(timedelta(seconds=3),),
    budget_seconds=10,
    range_hours=24,
)


class HeldLake:
    """Passes everything on; a put of a generation waits as long as it is told to."""

    def __init__(self, inner: Lake, home: Path) -> None:
        self._inner, self._home = inner, home

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put(self, key: str, content: bytes) -> bool:
        if key.endswith("/logs.json.gz"):
            while (self._home / "hold").exists():
                (self._home / "compacting").touch()
                time.sleep(0.05)
        return self._inner.put(key, content)


class HeldPorts(Ports):
    def lake(self, *, create: bool = False) -> Lake:
        return HeldLake(super().lake(create=create), self.settings.home)


@dg.definitions
def defs() -> dg.Definitions:
    settings = Settings.load()
    return build_defs(resources(HeldPorts(settings)), settings, RULES)
