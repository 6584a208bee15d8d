"""Picks the query engine's adapter by the scheme of its URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from log_assets.catalog import Catalog
from log_assets.errors import SettingError
from log_assets.query import QueryEngine
from log_assets.query.athena import open_athena
from log_assets.query.embedded import EmbeddedEngine
from log_assets.query.trino import open_trino


def open_engine(url: str, catalog: Catalog) -> QueryEngine:
    """The engine at `url` (QUERY_URL) over what `catalog` registers.

    Raises:
        SettingError: the URL is neither ``duckdb://``, ``athena://workgroup`` nor ``trino://host:port/catalog``; or
            it is one of the last two, and the catalog is not in Glue.
        QueryError: it cannot be opened.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "duckdb":
            return EmbeddedEngine(catalog)
        case "athena":
            return open_athena(url, _database(url, catalog))
        case "trino":
            return open_trino(url, _database(url, catalog))
    # A URL may hold a password.
    raise SettingError(
        f"QUERY_URL with the scheme {parts.scheme!r} is not understood: use duckdb://, athena://workgroup or "
        "trino://host:port/catalog"
    )


def _database(url: str, catalog: Catalog) -> str:
    parts = urlsplit(catalog.url)
    if parts.scheme != "glue":
        raise SettingError(
            f"QUERY_URL={urlsplit(url).scheme}://… reads a catalog in Glue, and CATALOG_URL is {catalog.url}: set "
            "CATALOG_URL=glue://database and LAKE_URL=s3://bucket/prefix"
        )
    return parts.netloc
