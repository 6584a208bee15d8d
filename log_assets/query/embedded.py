"""The embedded query engine: DuckDB in process, over the registered partitions at their registered location.

The SQL is Athena's; sqlglot translates it. A connection is made a query, so each sees the catalog as it is when it
begins, and a generation that is swapped meanwhile is read to its end. `hour` is computed from a file's name, so
that DuckDB leaves out the files whose hour the query does not ask for, before it opens them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from urllib.parse import unquote, urlsplit

import duckdb
import orjson
import sqlglot

from log_assets.catalog import Catalog
from log_assets.catalog.table import DIALECT, TABLE, columns
from log_assets.errors import QueryError
from log_assets.lake import layout
from log_assets.query import Result
from log_assets.query.sql import check_query, view_ddl
from log_assets.records import row

# What Athena has and DuckDB lacks, or has otherwise.
_MACROS = """
CREATE MACRO from_base64url(text) AS from_base64(replace(replace(text, '-', '+'), '_', '/'));
CREATE MACRO url_extract_path(url) AS regexp_extract(url, '^(?:[^:/?#]+:)?(?://[^/?#]*)?([^?#]*)', 1);
"""

_SIGNALS_SECONDS = 0.1


class EmbeddedEngine:
    """DuckDB over what a catalog registers."""

    url = "duckdb://"

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def ensure(self) -> None:
        """Nothing to make: the view lives as long as a query."""

    def run(self, sql: str, parameters: Sequence[str | int | float | None] = ()) -> Result:
        translated = check_query(sql).sql("duckdb")
        # Not in this thread: a signal is noticed between two of DuckDB's tasks, and one may take for ever.
        with duckdb.connect(":memory:") as connection, ThreadPoolExecutor(1) as thread:
            running = thread.submit(self._run, connection, translated, parameters)
            try:
                while not wait([running], _SIGNALS_SECONDS).done:
                    pass
            except BaseException:
                # One that comes before the query begins is lost.
                while not running.done():
                    connection.interrupt()
                    wait([running], _SIGNALS_SECONDS)
                raise
            return running.result()

    def _run(
        self, connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[str | int | float | None]
    ) -> Result:
        try:
            self._prepare(connection)
            table = connection.sql(sql, params=list(parameters)).to_arrow_table()
            profile = orjson.loads(connection.get_profiling_information("json"))
        except duckdb.Error as error:
            raise QueryError(f"the query failed: {_first_lines(error)}") from None
        return Result(table, int(profile.get("io", {}).get("total_bytes_read", 0)))

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        partitions = list(self._catalog.partitions())
        if elsewhere := next((p for p in partitions if not p.location.startswith("file://")), None):
            raise QueryError(
                f"QUERY_URL=duckdb:// reads a lake in a local folder only, and {elsewhere.location} is none: set "
                "QUERY_URL to athena://workgroup or trino://host:port/catalog"
            )
        files = [unquote(urlsplit(p.location).path) + layout.LINES_NAME for p in partitions]
        # Hive matches the keys of a line without regard to case, DuckDB to the letter.
        keys = {key.lower(): key for key, _ in row.SCHEMA}
        spec = ", ".join(f"{_name(keys[c.name])}: {_text(c.kind.sql('duckdb'))}" for c in columns())
        names = ", ".join(f"{_name(keys[c.name])} AS {_name(c.name)}" for c in columns())
        if files:
            source = (  # names, types and paths are ours, and quoted
                f"SELECT {names}, regexp_extract(filename, {_text(layout.LINES_PATTERN)}, 1) AS hour "  # noqa: S608
                f"FROM read_json([{', '.join(_text(_literal_path(file)) for file in files)}], "
                f"format = 'newline_delimited', compression = 'gzip', filename = true, columns = {{{spec}}}, "
                "maximum_object_size = 134217728)"
            )
        else:
            typed = [f"CAST(NULL AS {column.kind.sql('duckdb')}) AS {_name(column.name)}" for column in columns()]
            source = f"SELECT {', '.join(typed)}, CAST(NULL AS VARCHAR) AS hour WHERE false"
        connection.execute(_MACROS)
        # DuckDB 2.0 rewrites a window over a scan into a join of two scans, one of which loses its filter on files:
        # wrong rows, and each file read twice. (duckdb#22460 repaired another fault of this rewrite, and not this one.)
        connection.execute("SET disabled_optimizers = 'window_self_join'")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW {TABLE} AS {source}")
        connection.execute(sqlglot.transpile(view_ddl(), read=DIALECT, write="duckdb")[0])
        # From here on SQL that came from outside runs: it may read the published files and nothing else.
        allowed = dict.fromkeys([*files, *map(_literal_path, files)])
        connection.execute(f"SET allowed_paths = [{', '.join(map(_text, allowed))}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("PRAGMA enable_profiling = 'no_output'")
        connection.execute("SET lock_configuration = true")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _literal_path(path: str) -> str:
    """A path in which nothing is taken for a glob pattern."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split("\n\n", 1)[0].split())
