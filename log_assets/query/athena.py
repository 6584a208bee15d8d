"""The query engine Athena: `athena://workgroup`.

PyAthena starts a query and waits for it; its result, a CSV in S3, is read with the client that reads the lake, for
PyAthena's own Arrow reader does not know `AWS_ENDPOINT_URL`. In that CSV NULL is nothing, and "" an empty text.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.csv
import pyathena.error
from botocore.exceptions import BotoCoreError, ClientError
from pyathena.async_cursor import AsyncCursor
from pyathena.connection import Connection
from pyathena.model import AthenaQueryExecution
from pyathena.util import RetryConfig
from sqlglot import exp

from log_assets import aws
from log_assets.catalog.table import DIALECT
from log_assets.errors import LakeError, QueryError, SettingError, shown
from log_assets.lake.s3 import open_s3
from log_assets.query import Result
from log_assets.query.sql import check_query, view_ddl
from log_assets.query.types import arrow_type

_POLL_SECONDS = 0.3

# What Athena says, in part, and the command or setting that helps.
_HINTS = {
    "Bytes scanned limit": "ask for fewer hours (WHERE hour BETWEEN …), or raise the workgroup's limit",
    "output bucket": "give the workgroup an output location in a bucket that is there (aws athena update-work-group)",
    "output location": "give the workgroup an output location in S3 (aws athena update-work-group), as deploy/ does",
    "WorkGroup": "check QUERY_URL, or make the workgroup, as deploy/ does",
}


def open_athena(url: str, database: str) -> AthenaEngine:
    """The engine in the workgroup that `url` names, over the tables of the Glue database `database`.

    Raises:
        SettingError: no workgroup is named.
        QueryError: there is no region, or no credentials.
    """
    workgroup = urlsplit(url).netloc
    if not workgroup:
        raise SettingError(f"QUERY_URL={shown(url)} names no workgroup: write athena://workgroup")
    try:
        session = aws.session()
        if not session.region:
            raise QueryError(
                f"{shown(url)} cannot be opened: no AWS region is set: set AWS_REGION, or region in the profile"
            )
        connection = Connection[AsyncCursor](
            session=session.boto3,
            region_name=session.region,
            work_group=workgroup,
            schema_name=database,
            config=session.config,
            # The client tries again by itself.
            retry_config=RetryConfig(attempt=1),
            poll_interval=_POLL_SECONDS,
            cursor_class=AsyncCursor,
        )
    except (BotoCoreError, ClientError, ValueError, pyathena.error.Error) as error:
        raise QueryError(f"{shown(url)} cannot be opened ({error}): check the AWS credentials and region") from None
    return AthenaEngine(connection, f"athena://{workgroup}")


class AthenaEngine:
    """One workgroup; a query that is broken off, by Ctrl+C or because its run was ended, is cancelled there too."""

    def __init__(self, connection: Connection[AsyncCursor], url: str) -> None:
        self._connection = connection
        self.url = url

    def ensure(self) -> None:
        self._execute(view_ddl(), [], has_rows=False)

    def run(self, sql: str, parameters: Sequence[str | int | float | None] = ()) -> Result:
        check_query(sql)
        return self._execute(sql, parameters, has_rows=True)

    def _execute(self, sql: str, parameters: Sequence[str | int | float | None], *, has_rows: bool) -> Result:
        try:
            # Of the rows that come by Athena's own call one is fetched, for its columns' types.
            with self._connection.cursor(AsyncCursor, max_workers=2, arraysize=1) as cursor:
                query, waiting = cursor.execute(
                    sql.strip().rstrip(";"), list(map(_literal, parameters)), paramstyle="qmark"
                )
                try:
                    done = waiting.result()
                except BaseException:
                    cursor.cancel(query).result()
                    raise
        except pyathena.error.Error as error:
            raise self._error(str(error)) from None
        except (BotoCoreError, ClientError) as error:
            hint = aws.hint(str(error)) or "check region and endpoint"
            raise QueryError(f"{self.url} could not be reached ({error}): {hint}") from None
        if done.state != AthenaQueryExecution.STATE_SUCCEEDED:
            raise self._error(done.state_change_reason or str(done.state))
        table = _table(self._content(str(done.output_location)), done.description or []) if has_rows else pa.table({})
        return Result(table, int(done.data_scanned_in_bytes or 0))

    def _content(self, location: str) -> bytes:
        parts = urlsplit(location)
        try:
            return open_s3(f"s3://{parts.netloc}").get(parts.path.lstrip("/"))
        except LakeError as error:
            raise QueryError(f"the query ran on {self.url}, but its result could not be read: {error}") from None

    def _error(self, said: str) -> QueryError:
        said = " ".join(said.split())
        hint = aws.hint(said, _HINTS)
        return QueryError(f"the query failed on {self.url}: {said}" + (f": {hint}" if hint else ""))


def _literal(value: str | float | None) -> str:
    """A parameter as Athena takes it: the text of an SQL literal, which stands for a value and nothing else."""
    return exp.convert(value).sql(DIALECT)


def _table(content: bytes, described: Sequence[Sequence[object]]) -> pa.Table:
    # By position: a result may name two columns alike.
    names = [f"c{position}" for position in range(len(described))]
    kinds = [_type(str(column[1]), column[4], column[5]) for column in described]
    table = pyarrow.csv.read_csv(
        io.BytesIO(content),
        read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows_after_names=1, use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict(zip(names, kinds, strict=True)),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    return table.rename_columns([str(column[0]) for column in described])


def _type(name: str, precision: object, scale: object) -> pa.DataType:
    return arrow_type(f"decimal({precision},{scale})" if name == "decimal" else name)
