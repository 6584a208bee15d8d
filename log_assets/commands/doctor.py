"""`log-assets doctor`: probes each port by using it, and says what to repair."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from log_assets.commands.dotenv import Dotenv
from log_assets.errors import CatalogError, LakeError, LogAssetsError, QueryError, SettingError, SourceError
from log_assets.hour import Clock
from log_assets.lake import Lake, layout, listing
from log_assets.ports import Ports, scheme_of
from log_assets.query import VIEW
from log_assets.records import envelope
from log_assets.records.reject import Reject
from log_assets.settings import Settings
from log_assets.steps.health import ago, capture_health
from log_assets.steps.receipts import pending, with_rejects
from log_assets.steps.transform import transform_all

# Windows that are read to see whether they can be, and problems that are named.
_WINDOWS_TRIED = 20
_SHOWN = 10
# The daemon gives a sign every half a minute.
_SILENT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was probed, whether it is well, and what was seen or is to be repaired."""

    what: str
    ok: bool
    said: str


def examine(now: Clock) -> Iterator[Finding]:
    """Probe settings, key, source, lake, catalog, query engine and Dagster, each by using it."""
    try:
        settings = Settings.load()
    except LogAssetsError as error:
        yield Finding("settings", False, str(error))
        return
    yield Finding("settings", True, f"START_HOUR {settings.first_hour(now())}, home {settings.home}")
    ports = Ports(settings)
    probes: dict[str, Callable[[], str]] = {
        "f_key": lambda: _key(settings),
        "source": lambda: _source(ports),
        **_aws_probes(settings),
        "lake": lambda: _lake(ports, now),
        "objects": lambda: _objects(ports),
        "capture": lambda: _capture(ports, now),
        "catalog": lambda: _catalog(ports),
        "query engine": lambda: _query(ports),
        "dagster": lambda: _dagster(settings),
    }
    for what, probe in probes.items():
        try:
            yield Finding(what, True, probe())
        except LogAssetsError as error:
            yield Finding(what, False, str(error))


def _aws_probes(settings: Settings) -> dict[str, Callable[[], str]]:
    urls = {"LAKE_URL": settings.lake_url, "CATALOG_URL": settings.catalog_url, "QUERY_URL": settings.query_url}
    try:
        schemes = {scheme_of(variable, url) for variable, url in urls.items()}
    except SettingError:
        # It is told by its port, in words that show nothing of it.
        return {}
    if not schemes & {"s3", "glue", "athena"}:
        return {}
    from log_assets.commands.doctor_aws import probes

    return probes(*urls.values())


def _key(settings: Settings) -> str:
    settings.keyring()
    return "well-formed"


def _source(ports: Ports) -> str:
    if conflict := Dotenv(Path.cwd()).source_conflict(ports.settings):
        raise SettingError(conflict)
    source = ports.source()
    try:
        body = next(iter(source.windows()), None)
    finally:
        source.close()
    if body is None:
        return f"{source.url} answers, and holds nothing"
    found = envelope.read(body.content)
    if found.unread and not found.items:
        return f"{source.url} answers, but not with a list of records: {len(body.content)} bytes"
    tokens = envelope.tokens(found.items)
    if not ports.settings.has_key:
        return f"{source.url} answers with {len(tokens)} records"
    unread = sum(isinstance(text, Reject) for text in ports.keyring().decrypt(tokens))
    if tokens and unread == len(tokens):
        raise SettingError(
            f"{source.url} answers with {len(tokens)} records, and f_key opens none: set the right f_key"
        )
    return f"{source.url} answers with {len(tokens)} records; f_key opens {len(tokens) - unread} of them"


def _lake(ports: Ports, now: Clock) -> str:
    lake = ports.lake()
    _check_creates(lake)
    skew = abs((lake.now() - now()).total_seconds())
    waiting = len(pending(lake))
    said = (
        f"{lake.url} can be written, read and tidied; its clock is {skew:.0f} s off; {waiting} windows wait to be read"
    )
    if foreign := listing.foreign(lake):
        said += f"; {len(foreign)} objects are none of ours and are left alone: {_some(foreign)}"
    return said


def _check_creates(lake: Lake) -> None:
    """Raises `LakeError` when the store writes over what is to be created only: of two writers one would be lost."""
    key = f"{layout.PROBE}/{uuid.uuid4().hex}"
    what = (
        "S3's conditional writes (If-None-Match), without which one writer would overwrite another: take a store or a "
        "version of it that has them, as S3 itself, MinIO, Ceph and R2 do"
    )
    try:
        if not lake.put(key, b"") or lake.put(key, b"again"):
            raise LakeError(f"{lake.url} does not keep to {what}")
    except LakeError as error:
        if "NotImplemented" in str(error):
            raise LakeError(f"{lake.url} refuses {what}") from None
        raise
    finally:
        with suppress(LakeError):
            lake.delete([key])


class _Unchanged:
    """A lake that takes every put and keeps none: transform can be tried on it."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lake, name)

    def put(self, key: str, content: bytes) -> bool:
        return True


def _objects(ports: Ports) -> str:
    """Whether what waits to be read can be, the oldest first, and what was read is known."""
    lake = ports.lake()
    problems = [*map(str, with_rejects(lake).failed.values())]
    windows = pending(lake)[:_WINDOWS_TRIED] if ports.settings.has_key else []
    if windows:
        problems += transform_all(cast(Lake, _Unchanged(lake)), ports.keyring(), windows).problems()
    if problems:
        raise LakeError(_some(problems, "; "))
    return f"what waits can be read ({len(windows)} windows tried), and what was read is known"


def _capture(ports: Ports, now: Clock) -> str:
    lake, moment = ports.lake(), now()
    wanted = ports.settings.must_be_captured
    if wanted and not any(True for _ in listing.objects(lake, layout.CAPTURE)):
        return "no capturer has run yet: log-assets up starts one"
    found = capture_health(lake, moment, wanted=wanted)
    if found.problem:
        raise SourceError(found.problem)
    return found.said(moment)


def _some(found: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return between.join(found[:_SHOWN]) + more


def _catalog(ports: Ports) -> str:
    catalog, lake = ports.catalog(), ports.lake()
    hours = list(catalog.partitions())
    there = {entry.key for entry in listing.objects(lake, layout.COMPACT)}
    # An engine that finds no object may take the hour for an empty one.
    if gone := [p.hour for p in hours if layout.lines_key(p.hour, p.digest) not in there]:
        raise CatalogError(
            f"{catalog.url} holds {len(hours)} hours, and the objects of {len(gone)} of them are gone from {lake.url}, "
            f"the first {gone[0]}: log-assets backfill --from {gone[0]} --to {gone[-1]} makes them again from their "
            "rows, while these are there; or restore them from a copy"
        )
    return f"{catalog.url} holds {len(hours)} hours, and the object of each is there"


def _query(ports: Ports) -> str:
    engine = ports.query()
    try:
        engine.run(f"SELECT count(*) AS n FROM {VIEW} WHERE hour = ''")  # noqa: S608
    except QueryError as error:
        if "NOT_FOUND" in str(error) and VIEW in str(error):
            raise QueryError(f"{error}: run log-assets init, which makes the view {VIEW}") from None
        raise
    return f"{engine.url} answers"


def _dagster(settings: Settings) -> str:
    home = settings.dagster_folder()
    if not (home / "dagster.yaml").exists():
        raise SettingError(f"{home} has no dagster.yaml: run log-assets init")
    asked = subprocess.run(
        [sys.executable, "-m", "log_assets.defs.daemon"],
        env={**os.environ, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        last = (asked.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise SettingError(f"Dagster cannot be asked ({last}): check the installation and {home}")
    state = json.loads(asked.stdout.splitlines()[-1])
    heartbeat, tick = state["heartbeat"], state["tick"]
    if heartbeat is None:
        return f"{home}; the daemon has never run here: log-assets up starts it"
    if heartbeat > _SILENT_SECONDS:
        raise SettingError(
            f"Dagster's daemon gave its last sign {ago(timedelta(seconds=heartbeat))} ago, and without it nothing is "
            "read and published: start log-assets up (or dagster-daemon run -m log_assets.definitions)"
        )
    if state["stopped"]:
        raise SettingError(
            "the sensor is switched off, so nothing is read and published: switch it on in Dagster's UI, Automation"
        )
    if state["error"]:
        raise SettingError(f"the sensor's last tick failed ({state['error']}): see its page in Dagster's UI")
    ticked = "has not ticked yet" if tick is None else f"ticked {ago(timedelta(seconds=tick))} ago"
    return f"{home}; the daemon is alive, the sensor {ticked}"
