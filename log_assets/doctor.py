"""`log-assets doctor`: looks at each port for real, and says what to mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import orjson

from log_assets import account
from log_assets.errors import CatalogError, LogAssetsError, QueryError, SettingError
from log_assets.lake import layout
from log_assets.query.sql import VIEW
from log_assets.records.reject import Reject
from log_assets.resources import Resources, resources
from log_assets.settings import Settings
from log_assets.steps.transform import pending


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, whether it is well, and what was seen or is to be mended."""

    what: str
    ok: bool
    said: str


def examine(now: Callable[[], datetime]) -> Iterator[Finding]:
    """Look at settings, key, source, lake, catalog, query engine and Dagster, each by using it."""
    try:
        settings = Settings.load()
    except LogAssetsError as error:
        yield Finding("settings", False, str(error))
        return
    yield Finding("settings", True, f"START_HOUR {settings.first_hour(now())}, home {settings.home}")
    ports = resources(settings)
    looks: dict[str, Callable[[], str]] = {
        "f_key": lambda: _key(settings),
        "source": lambda: _source(ports, settings),
        **account.looks(settings.lake_url, settings.catalog_url, settings.query_url),
        "lake": lambda: _lake(ports, now),
        "catalog": lambda: _catalog(ports),
        "query engine": lambda: _query(ports),
        "dagster": lambda: _dagster(settings),
    }
    for what, look in looks.items():
        try:
            yield Finding(what, True, look())
        except LogAssetsError as error:
            yield Finding(what, False, str(error))


def _key(settings: Settings) -> str:
    settings.keyring()
    return "well-formed"


def _source(ports: Resources, settings: Settings) -> str:
    source = ports.source.open()
    try:
        body = next(iter(source.windows()), None)
    finally:
        source.close()
    if body is None:
        return f"{source.url} answers, and holds nothing"
    try:
        items = orjson.loads(body.content)
        tokens = [item["data"] for item in items]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return f"{source.url} answers, but not with a list of records: {len(body.content)} bytes"
    if not settings.has_key:
        return f"{source.url} answers with {len(tokens)} records"
    unread = sum(isinstance(found, Reject) for found in settings.keyring().decrypt(tokens))
    if tokens and unread == len(tokens):
        raise SettingError(
            f"{source.url} answers with {len(tokens)} records, and f_key opens none: set the right f_key"
        )
    return f"{source.url} answers with {len(tokens)} records; f_key opens {len(tokens) - unread} of them"


def _lake(ports: Resources, now: Callable[[], datetime]) -> str:
    lake = ports.lake.open()
    skew = abs((lake.now() - now()).total_seconds())
    waiting = len(pending(lake))
    return (
        f"{lake.url} can be written, read and tidied; its clock is {skew:.0f} s off; {waiting} windows wait to be read"
    )


def _catalog(ports: Resources) -> str:
    catalog, lake = ports.catalog.open(), ports.lake.open()
    hours = list(catalog.partitions())
    there = {entry.key for entry in lake.entries(layout.COMPACT)}
    # An engine that finds no object may take the hour for an empty one.
    if gone := [p.hour for p in hours if layout.generation_key(p.hour, p.digest) not in there]:
        raise CatalogError(
            f"{catalog.url} holds {len(hours)} hours, and the objects of {len(gone)} of them are gone from {lake.url}, "
            f"the first {gone[0]}: log-assets backfill --from {gone[0]} --to {gone[-1]} makes them again from their "
            "rows, while these are there; or restore them from a copy"
        )
    return f"{catalog.url} holds {len(hours)} hours, and the object of each is there"


def _query(ports: Resources) -> str:
    engine = ports.query.open()
    try:
        engine.run(f"SELECT count(*) AS n FROM {VIEW} WHERE hour = ''")  # noqa: S608
    except QueryError as error:
        if "NOT_FOUND" in str(error) and VIEW in str(error):
            raise QueryError(f"{error}: run log-assets init, which makes the view {VIEW}") from None
        raise
    return f"{engine.url} answers"


def _dagster(settings: Settings) -> str:
    if not (settings.dagster_home / "dagster.yaml").exists():
        raise SettingError(f"{settings.dagster_home} has no dagster.yaml: run log-assets init")
    return f"{settings.dagster_home}"
