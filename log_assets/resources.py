"""Resources: the settings' URLs → adapters, for Dagster and for the command line alike.

Here belongs which adapter a URL picks. Not here: what an adapter does (the ports).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import dagster as dg

from log_assets.catalog import Catalog
from log_assets.catalog.open import open_catalog
from log_assets.errors import SettingError
from log_assets.lake import Lake
from log_assets.lake.format import check_format
from log_assets.lake.open import open_lake
from log_assets.query import QueryEngine
from log_assets.query.open import open_engine
from log_assets.records.token import Keyring
from log_assets.settings import DEMO_SOURCE, Settings
from log_assets.source import Source
from log_assets.source.open import open_source
from log_assets.steps.pool import Pool


class LakeResource(dg.ConfigurableResource[None]):
    """Where objects go (LAKE_URL)."""

    url: str

    def open(self) -> Lake:
        """The lake, made when it is new; raises `LakeError` when it is of another format."""
        lake = open_lake(self.url)
        check_format(lake, create=True)
        return lake

    def open_for_capture(self) -> Lake:
        """The lake without a look at it: a capturer may only put."""
        return open_lake(self.url)


class CatalogResource(dg.ConfigurableResource[None]):
    """Where partitions are registered (CATALOG_URL)."""

    url: str
    lake_url: str

    def open(self) -> Catalog:
        """The catalog, made when it is new."""
        catalog = open_catalog(self.url, self.lake_url)
        catalog.ensure()
        return catalog

    def mend(self) -> str:
        """Make the catalog what it should be when someone changed it; says what was done."""
        return open_catalog(self.url, self.lake_url).mend()


class QueryResource(dg.ConfigurableResource[None]):
    """What runs SQL (QUERY_URL) over what the catalog registers."""

    url: str
    catalog: CatalogResource

    def open(self) -> QueryEngine:
        return open_engine(self.url, self.catalog.open())


class KeyResource(dg.ConfigurableResource[None]):
    """The key (f_key). It is named, never held, in what Dagster shows of its configuration."""

    f_key: str | None = None

    def keyring(self) -> Keyring:
        if not self.f_key:
            raise SettingError("f_key is not set, so nothing can be decrypted: put it into .env or the environment")
        return Keyring.parse(self.f_key)


class SourceResource(dg.ConfigurableResource[None]):
    """Where logs come from (SOURCE_URL)."""

    url: str
    allow_http: bool = False
    key: KeyResource

    def open(self) -> Source:
        keyring = self.key.keyring() if self.url.startswith(DEMO_SOURCE) else None
        return open_source(self.url, allow_http=self.allow_http, keyring=keyring)


class WorkersResource(dg.ConfigurableResource[None]):
    """How many processes share the work (WORKERS)."""

    processes: int | None = None

    def open(self) -> Pool:
        return Pool(self.processes)


@dataclass(frozen=True, slots=True)
class Resources:
    """Every resource; the fields' names are those that assets ask for."""

    source: SourceResource
    lake: LakeResource
    catalog: CatalogResource
    query: QueryResource
    key: KeyResource
    workers: WorkersResource


def resources(settings: Settings, *, by_name: bool = False) -> Resources:
    """The resources that the settings name.

    Args:
        settings: as loaded.
        by_name: leave secrets in the environment and name their variables: Dagster shows a resource's configuration.
    """

    def secret(variable: str, value: str | None) -> str | None:
        return dg.EnvVar(variable) if by_name and variable in os.environ else value

    catalog = CatalogResource(url=settings.catalog_url, lake_url=settings.lake_url)
    key = KeyResource(f_key=secret("f_key", settings.f_key.get_secret_value() if settings.f_key else None))
    # A URL may hold a password.
    url = secret("SOURCE_URL", settings.source_url) or DEMO_SOURCE
    query_url = secret("QUERY_URL", settings.query_url) if "@" in settings.query_url else settings.query_url
    return Resources(
        source=SourceResource(url=url, allow_http=settings.source_allow_http, key=key),
        lake=LakeResource(url=settings.lake_url),
        catalog=catalog,
        query=QueryResource(url=query_url or settings.query_url, catalog=catalog),
        key=key,
        workers=WorkersResource(processes=settings.workers),
    )
