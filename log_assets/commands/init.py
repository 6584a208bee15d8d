"""`log-assets init`: makes what is missing, leaves what is there, and says which was which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg

from log_assets.commands.dotenv import Dotenv
from log_assets.errors import NoLake, SettingError
from log_assets.lake import layout
from log_assets.ports import Ports, open_engine, open_lake, open_source
from log_assets.query import VIEW
from log_assets.records.token import Keyring
from log_assets.settings import DEMO_SOURCE, Settings

_OWNERS_FOLDER = 0o700


def initialise(folder: Path, now: datetime) -> Iterator[str]:
    """Make `.env` in `folder`, the lake, the catalog, the view and Dagster's folder, as far as they are missing.

    Yields a sentence for each. Raises `SettingError` at the end when `f_key` is missing and is not ours to make:
    only the demo source's key is.
    """
    dotenv = Dotenv(folder)
    settings = Settings.load()
    if conflict := dotenv.source_conflict(settings):
        raise SettingError(conflict)
    # Nothing that is refused is written down.
    _check_urls(Ports(settings))
    if not settings.source_url:
        _check_new(settings, dotenv)
    yield from dotenv.write_down(settings)
    if not settings.source_url:
        dotenv.set("SOURCE_URL", DEMO_SOURCE)
        yield f"SOURCE_URL={DEMO_SOURCE} written to {dotenv.path}: the bundled demo source, for none is set"
        settings = Settings.load()
    if settings.start_hour is None:
        first = settings.first_hour(now)
        dotenv.set("START_HOUR", first)
        yield f"START_HOUR={first} written to {dotenv.path}: the first hour that can be published"
    if not settings.has_key and settings.is_demo:
        dotenv.set("f_key", Keyring.generate())
        yield f"f_key written to {dotenv.path}: a key of its own for the demo source"
    dotenv.close_to_others()

    settings = Settings.load()
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.home.chmod(_OWNERS_FOLDER)
    ports = Ports(settings)
    # Says what is wrong with the URL; nothing is asked yet.
    ports.source().close()
    yield f"lake: {ports.lake(create=True).url}"
    catalog = ports.catalog_as_it_is()
    yield f"catalog: {catalog.url}: {catalog.repair()}"
    engine = ports.query()
    engine.ensure()
    yield f"query engine: {engine.url}" + ("" if engine.url.startswith("duckdb:") else f": the view {VIEW} is made")
    if settings.lake_url.startswith("s3:"):
        yield "bucket, workgroup and roles are not made here: deploy/ makes them; log-assets doctor checks each"
    yield _dagster_home(settings.dagster_folder(), settings.lake_url)
    if not settings.has_key:
        raise SettingError(
            f"f_key is not set, and only the owner of this source knows it: "
            f"put a line f_key=… into {dotenv.path} or set it in the environment; capture needs no key"
        )
    settings.keyring()


def _check_urls(ports: Ports) -> None:
    """Raises what opening each URL raises; nothing is made or asked."""
    settings = ports.settings
    settings.dagster_folder()
    if settings.source_url:
        # Of the demo source, init makes the key further down.
        keyring = settings.keyring() if settings.has_key else Keyring.parse(Keyring.generate())
        open_source(settings.source_url, allow_http=settings.source_allow_http, keyring=keyring).close()
    with suppress(NoLake):
        open_lake(settings.lake_url, create=False)
    open_engine(settings.query_url, ports.catalog_as_it_is())


def _check_new(settings: Settings, dotenv: Dotenv) -> None:
    """Raises `SettingError` when the lake is in use: it has a source, which is not ours to choose then."""
    try:
        lake = open_lake(settings.lake_url, create=False)
    except NoLake:
        return
    if lake.exists(layout.FORMAT_KEY) or lake.folders(layout.RAW):
        raise SettingError(
            f"SOURCE_URL is not set, and the lake {lake.url} is in use: put SOURCE_URL=… into {dotenv.path} and run "
            f"log-assets init again (SOURCE_URL={DEMO_SOURCE} if it holds demo records)"
        )


def make_dagster_storage(home: Path) -> None:
    """Let Dagster make its databases, before several of its processes would do so at once.

    They are made at the first use, step by step: a process that opens them in between finds half a schema and ends.
    """
    with dg.DagsterInstance.from_config(str(home)):
        pass


# Added to dagster.yaml when the lake is in S3.
_COMPUTE_LOGS = """
# What runs print, beside the lake: the UI shows it whichever machine they ran on.
compute_logs:
  module: dagster_aws.s3.compute_log_manager
  class: S3ComputeLogManager
  config:
    bucket: {bucket}
    prefix: {prefix}
    skip_empty_files: true
"""


def _dagster_home(home: Path, lake_url: str) -> str:
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    kept = target.exists()
    if not kept:
        lake = urlsplit(lake_url)
        text = (files("log_assets.commands") / "dagster.yaml").read_text()
        if lake.scheme == "s3":
            prefix = f"{lake.path.strip('/')}/compute-logs".lstrip("/")
            text += _COMPUTE_LOGS.format(bucket=json.dumps(lake.netloc), prefix=json.dumps(prefix))
        target.write_text(text)
    make_dagster_storage(home)
    return f"Dagster: {home}" + (" (its dagster.yaml is left as it is)" if kept else "")
