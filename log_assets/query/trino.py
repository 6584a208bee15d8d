"""The query engine in a Trino of one's own: `trino://[user[:password]@]host:port/catalog`.

The catalog is a Hive connector of that Trino whose metastore is Glue; its schema is the Glue database. A password, or
port 443, means https.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import trino
from requests.exceptions import RequestException
from trino.auth import BasicAuthentication

from log_assets.errors import QueryError, SettingError
from log_assets.query import Result
from log_assets.query.sql import check_query, view_ddl
from log_assets.query.types import arrow_type

_HTTPS_PORT = 443
_ATTEMPTS = 3
_REQUEST_SECONDS = 30


def open_trino(url: str, database: str) -> TrinoEngine:
    """The engine at `url`, over the tables of the Glue database `database`.

    Raises:
        SettingError: the URL names no host, port or catalog.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    catalog = parts.path.strip("/")
    if not (parts.hostname and port and catalog) or "/" in catalog:
        raise SettingError("QUERY_URL=trino://… names no host, port and catalog: write trino://host:port/catalog")
    shown = f"trino://{parts.hostname}:{port}/{catalog}"
    user = unquote(parts.username) if parts.username else getpass.getuser()
    secure = parts.password is not None or port == _HTTPS_PORT
    connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
        host=parts.hostname,
        port=port,
        user=user,
        auth=BasicAuthentication(user, unquote(parts.password)) if parts.password is not None else None,
        http_scheme="https" if secure else "http",
        catalog=catalog,
        schema=database,
        source="log_assets",
        timezone="UTC",
        max_attempts=_ATTEMPTS,
        request_timeout=_REQUEST_SECONDS,
    )
    return TrinoEngine(connection, shown)


class TrinoEngine:
    """Trino over HTTP; a query that is broken off, by Ctrl+C or because its run was ended, is cancelled there too."""

    def __init__(self, connection: Any, url: str) -> None:
        self._connection = connection
        self.url = url

    def ensure(self) -> None:
        self._execute(view_ddl(), [])

    def run(self, sql: str, parameters: Sequence[str | int | float | None] = ()) -> Result:
        check_query(sql)
        return self._execute(sql, parameters)

    def _execute(self, sql: str, parameters: Sequence[str | int | float | None]) -> Result:
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql.strip().rstrip(";"), list(parameters) or None)
            rows = cursor.fetchall()
            table = _table(cursor.description or [], rows)
            return Result(table, int((cursor.stats or {}).get("physicalInputBytes", 0)))
        except trino.exceptions.TrinoQueryError as error:
            raise QueryError(f"the query failed on {self.url}: {error.error_name}: {error.message}") from None
        except (trino.exceptions.Error, RequestException) as error:
            raise QueryError(
                f"{self.url} could not be asked ({_first_line(error)}): check QUERY_URL, and whether it runs"
            ) from None
        except BaseException:
            cursor.cancel()
            raise
        finally:
            cursor.close()


def _table(description: Sequence[Any], rows: Sequence[Sequence[Any]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(description)
    arrays = []
    for column, values in zip(description, columns, strict=True):
        kind = arrow_type(column.type_code)
        plain = [value if value is None or isinstance(value, str) else str(value) for value in values]
        arrays.append(pa.array(plain if pa.types.is_string(kind) else values, kind))
    return pa.Table.from_arrays(arrays, names=[column.name for column in description])


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]
