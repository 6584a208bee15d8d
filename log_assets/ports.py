"""Ports: the settings' URLs → adapters. The scheme picks the adapter, which is imported when it is asked for.

So a process loads what its settings need and no more: a capturer runs without Dagster, DuckDB and pyarrow, and a broken
upgrade of those stops no capture. Here belongs which adapter a URL picks. Not here: what an adapter does (`source`,
`lake`, `catalog`, `query`), or Dagster (`defs.resources`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from log_assets.errors import SettingError
from log_assets.lake.format import check_format
from log_assets.settings import Settings
from log_assets.steps.pool import Pool

if TYPE_CHECKING:
    from log_assets.catalog import Catalog
    from log_assets.lake import Lake
    from log_assets.query import QueryEngine
    from log_assets.records.token import Keyring
    from log_assets.source import Source


@dataclass(frozen=True, slots=True)
class Ports:
    """What the settings name, opened when it is asked for: each call opens anew and may raise `SettingError`."""

    settings: Settings

    def source(self) -> Source:
        """Where logs come from (SOURCE_URL). The demo source alone is given the key: it encrypts with it."""
        settings = self.settings
        if not settings.source_url:
            # No default: demo records in a lake of real ones could not be told from them.
            raise SettingError(
                "SOURCE_URL is not set, so nothing can be captured: set it (demo:// is the bundled demo source) and "
                "run log-assets init, which writes it to .env"
            )
        return open_source(
            settings.source_url,
            allow_http=settings.source_allow_http,
            per_second=settings.source_per_second,
            keyring=self.keyring() if settings.is_demo else None,
        )

    def lake(self, *, create: bool = False) -> Lake:
        """Where objects go (LAKE_URL); with `create` it is made when it is new.

        Raises:
            NoLake: there is none.
            LakeError: it is of another format.
        """
        lake = open_lake(self.settings.lake_url, create=create)
        check_format(lake, create=create)
        return lake

    def lake_for_capture(self) -> Lake:
        """The lake, its format not read: a capturer may only put."""
        return open_lake(self.settings.lake_url)

    def spool(self) -> Lake:
        """Where windows wait while the lake cannot be written: a folder of this machine."""
        return open_lake((self.settings.home / "spool").as_uri())

    def catalog(self, *, create: bool = False) -> Catalog:
        """Where partitions are registered (CATALOG_URL); with `create` it is made when it is new.

        Raises:
            CatalogError: there is none, or it is not as it should be.
        """
        catalog = self.catalog_as_it_is()
        if create:
            catalog.ensure()
        else:
            catalog.check()
        return catalog

    def catalog_as_it_is(self) -> Catalog:
        """The catalog, neither made nor checked: for whoever repairs it."""
        return open_catalog(self.settings.catalog_url, self.settings.lake_url)

    def query(self) -> QueryEngine:
        """What runs SQL (QUERY_URL) over what the catalog registers."""
        if urlsplit(self.settings.lake_url).scheme == "file":
            # Whoever asks in a folder without a lake is told so, and not of its catalog.
            self.lake()
        return open_engine(self.settings.query_url, self.catalog())

    def keyring(self) -> Keyring:
        """The source's keys (f_key)."""
        return self.settings.keyring()

    def pool(self) -> Pool:
        """The processes that share the work (WORKERS)."""
        return Pool(self.settings.workers)


def open_lake(url: str, *, create: bool = True) -> Lake:
    """The lake at `url` (LAKE_URL); a local folder is made, with `create`, when it is missing.

    Raises:
        NoLake: the folder is missing, and not to be made.
        SettingError: the URL is neither ``file:///folder`` nor ``s3://bucket/prefix``.
        LakeError: it cannot be opened.
    """
    with _libraries_for("LAKE_URL"):
        match scheme_of("LAKE_URL", url):
            case "file":
                from log_assets.lake.local import open_local

                return open_local(url, create=create)
            case "s3":
                from log_assets.lake.s3 import open_s3

                return open_s3(url)
    raise SettingError("LAKE_URL is not understood: use file:///folder or s3://bucket/prefix")


def open_catalog(url: str, lake_url: str) -> Catalog:
    """The catalog at `url` (CATALOG_URL) of the lake at `lake_url`.

    Raises:
        SettingError: the URL is neither ``sqlite:///folder/catalog.db`` nor ``glue://database``.
        CatalogError: it cannot be opened.
    """
    with _libraries_for("CATALOG_URL"):
        match scheme_of("CATALOG_URL", url):
            case "sqlite":
                from log_assets.catalog.sqlite import open_sqlite

                return open_sqlite(url)
            case "glue":
                from log_assets.catalog.glue import open_glue

                return open_glue(url, lake_url)
    raise SettingError("CATALOG_URL is not understood: use sqlite:///folder/catalog.db or glue://database")


def open_engine(url: str, catalog: Catalog) -> QueryEngine:
    """The engine at `url` (QUERY_URL) over what `catalog` registers.

    Raises:
        SettingError: the URL is neither ``duckdb://``, ``athena://workgroup`` nor ``trino://host:port/catalog``; or
            it is one of the last two, and the catalog is not in Glue.
        QueryError: it cannot be opened.
    """
    scheme = scheme_of("QUERY_URL", url)
    with _libraries_for("QUERY_URL"):
        match scheme:
            case "duckdb":
                from log_assets.query.embedded import EmbeddedEngine

                return EmbeddedEngine(catalog)
            case "athena":
                from log_assets.query.athena import open_athena

                return open_athena(url, _glue_database(scheme, catalog))
            case "trino":
                from log_assets.query.trino import open_trino

                return open_trino(url, _glue_database(scheme, catalog))
    raise SettingError("QUERY_URL is not understood: use duckdb://, athena://workgroup or trino://host:port/catalog")


def _glue_database(scheme: str, catalog: Catalog) -> str:
    parts = urlsplit(catalog.url)
    if parts.scheme != "glue":
        raise SettingError(
            f"QUERY_URL={scheme}://… reads a catalog in Glue, and CATALOG_URL is {catalog.url}: set "
            "CATALOG_URL=glue://database and LAKE_URL=s3://bucket/prefix"
        )
    return parts.netloc


def open_source(
    url: str, *, allow_http: bool = False, per_second: float = 5.0, keyring: Keyring | None = None
) -> Source:
    """The source at `url` (SOURCE_URL).

    Args:
        url: ``https://…``, ``http://…`` (loopback), ``file:///folder`` or ``demo://``.
        allow_http: take ``http`` to other hosts too.
        per_second: how often history is asked for in a second, at most.
        keyring: what the demo source encrypts with; no other source is given a key.

    Raises:
        SettingError: the URL is none of these, or the demo source has no key.
    """
    scheme = scheme_of("SOURCE_URL", url)
    with _libraries_for("SOURCE_URL"):
        match scheme:
            case "https" | "http":
                from log_assets.source.http import HttpSource, Limits

                return HttpSource(url, allow_http=allow_http, limits=Limits(per_second=per_second))
            case "file":
                from log_assets.source.folder import FolderSource

                return FolderSource(url)
            case "demo":
                from log_assets.source.demo import DemoSource

                if keyring is None:
                    raise SettingError("f_key is not set, and the demo source encrypts with it: run log-assets init")
                seed = parse_qs(urlsplit(url).query).get("seed", ["0"])[0]
                if not seed.isdecimal():
                    raise SettingError("SOURCE_URL names a seed that is no number: write demo://?seed=7")
                return DemoSource(keyring, int(seed))
    raise SettingError(
        "SOURCE_URL is not understood: use https://…, http://… on this machine, file:///folder or demo://"
    )


_OPTIONS = {"s3": frozenset({"kms_key", "request_payer"}), "demo": frozenset({"seed"})}
"""What may stand behind the ? of a URL, by its scheme; an https source has its own."""


def scheme_of(variable: str, url: str) -> str:
    """The scheme of a setting's URL. No error of this shows more than the variable's name: a URL may hold a password.

    Raises:
        SettingError: it is no URL, or holds a user, a password, a fragment or an option that nothing would take from
            there.
    """
    try:
        parts = urlsplit(url)
        # A port that is no number, as of a password with a slash in it, is an error of this alone.
        _ = parts.hostname, parts.port
    except ValueError:
        raise SettingError(
            f"{variable} is malformed: it should be scheme://host:port/path, and in a user or password write / ? # and "
            "@ as %2F %3F %23 and %40"
        ) from None
    if "@" in parts.netloc and parts.scheme not in ("https", "http", "trino"):
        raise SettingError(
            f"{variable} holds a user or password, which {parts.scheme}:// takes from elsewhere: leave them out"
        )
    # What would be cut off, or passed over, in silence: half a folder's name, or a key that is not encrypted with.
    if "#" in url:
        raise SettingError(f"{variable} holds a #, at which a URL ends: write it as %23")
    if parts.scheme in ("https", "http"):
        return parts.scheme
    known = _OPTIONS.get(parts.scheme, frozenset())
    if "?" in url and not known:
        raise SettingError(f"{variable} holds a ?, behind which {parts.scheme}:// knows no options: write it as %3F")
    if unknown := parse_qs(parts.query, keep_blank_values=True).keys() - known:
        raise SettingError(
            f"{variable} has {len(unknown)} options that {parts.scheme}:// does not know: it knows "
            f"{', '.join(sorted(known))}"
        )
    return parts.scheme


@contextmanager
def _libraries_for(variable: str) -> Iterator[None]:
    """Says which setting needs a library that is not installed, and what installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "log_assets"):
            raise
        raise SettingError(
            f"{variable} needs the library {library}, which is not installed: pip install {library}, or set "
            f"{variable} to something else"
        ) from None
