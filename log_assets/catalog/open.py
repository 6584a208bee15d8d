"""Picks the catalog's adapter by the scheme of its URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from log_assets.catalog import Catalog
from log_assets.catalog.glue import open_glue
from log_assets.catalog.sqlite import open_sqlite
from log_assets.errors import SettingError


def open_catalog(url: str, lake_url: str) -> Catalog:
    """The catalog at `url` (CATALOG_URL) of the lake at `lake_url`.

    Raises:
        SettingError: the URL is neither ``sqlite:///folder/catalog.db`` nor ``glue://database``.
    """
    match urlsplit(url).scheme:
        case "sqlite":
            return open_sqlite(url)
        case "glue":
            return open_glue(url, lake_url)
    raise SettingError(f"CATALOG_URL={url!r} is not understood: use sqlite:///folder/catalog.db or glue://database")
