"""A small server that speaks the calls of Athena's API which a client needs, and runs the SQL on a real Trino.

Results go to S3 as Athena writes them: a CSV in which every value is quoted and NULL is nothing.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import boto3
import trino
from botocore.exceptions import ClientError

from log_assets_tests.trino_server import CATALOG


@dataclass
class WorkGroup:
    """As an account has it: where results go, and how many bytes a query may scan."""

    output: str | None
    limit: int | None = None
    state: str = "ENABLED"

    def shown(self, name: str) -> dict[str, Any]:
        configuration: dict[str, Any] = {
            "EnforceWorkGroupConfiguration": True,
            "EngineVersion": {"EffectiveEngineVersion": "Athena engine version 3"},
        }
        if self.output:
            configuration["ResultConfiguration"] = {"OutputLocation": self.output}
        if self.limit:
            configuration["BytesScannedCutoffPerQuery"] = self.limit
        return {"WorkGroup": {"Name": name, "State": self.state, "Configuration": configuration}}


@dataclass
class Query:
    """One execution, and what became of it."""

    sql: str
    parameters: Sequence[str]
    database: str
    workgroup: str
    output: str
    state: str = "QUEUED"
    reason: str | None = None
    scanned: int = 0
    columns: list[dict[str, Any]] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    cursor: Any = None
    started: float = field(default_factory=time.time)


class Refused(Exception):
    """What Athena answers with status 400 and this type."""

    def __init__(self, message: str, kind: str = "InvalidRequestException") -> None:
        super().__init__(message)
        self.kind = kind


class AthenaServer:
    """Workgroups and query executions. `calls` are the operations asked for, in order."""

    def __init__(self, trino_url: str) -> None:
        parts = urlsplit(trino_url)
        self._trino = {"host": parts.hostname, "port": parts.port, "user": "athena"}
        self.workgroups: dict[str, WorkGroup] = {}
        self.queries: dict[str, Query] = {}
        self.tokens: dict[str, str] = {}
        self.calls: list[str] = []
        self.fault: Callable[[str], Refused | None] = lambda operation: None

    def answer(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(operation)
        if refused := self.fault(operation):
            raise refused
        found: dict[str, Any] = getattr(self, operation)(body)
        return found

    def GetWorkGroup(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._workgroup(body["WorkGroup"]).shown(body["WorkGroup"])

    def DeleteWorkGroup(self, body: dict[str, Any]) -> dict[str, Any]:
        self._workgroup(body["WorkGroup"])
        del self.workgroups[body["WorkGroup"]]
        return {}

    def StartQueryExecution(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body.get("WorkGroup", "primary")
        workgroup = self._workgroup(name)
        if not workgroup.output:
            raise Refused(
                "No output location provided. An output location is required either through the Workgroup result "
                "configuration setting or as an API input."
            )
        bucket = urlsplit(workgroup.output).netloc
        try:
            boto3.client("s3").get_bucket_location(Bucket=bucket)
        except ClientError:
            raise Refused(f"Unable to verify/create output bucket {bucket}") from None
        # The same token means the same execution, however often it is asked for.
        key = self.tokens.setdefault(body.get("ClientRequestToken", ""), str(uuid.uuid4()))
        if key in self.queries:
            return {"QueryExecutionId": key}
        query = Query(
            sql=body["QueryString"],
            parameters=body.get("ExecutionParameters", []),
            database=body["QueryExecutionContext"]["Database"],
            workgroup=name,
            output=f"{workgroup.output.rstrip('/')}/{key}.csv",
        )
        self.queries[key] = query
        threading.Thread(target=self._execute, args=(query, workgroup.limit), daemon=True).start()
        return {"QueryExecutionId": key}

    def GetQueryExecution(self, body: dict[str, Any]) -> dict[str, Any]:
        query = self._query(body)
        status: dict[str, Any] = {"State": query.state, "SubmissionDateTime": query.started}
        if query.reason:
            status["StateChangeReason"] = query.reason
        return {
            "QueryExecution": {
                "QueryExecutionId": body["QueryExecutionId"],
                "Query": query.sql,
                "StatementType": "DML" if query.columns else "DDL",
                "ResultConfiguration": {"OutputLocation": query.output},
                "QueryExecutionContext": {"Database": query.database},
                "Status": status,
                "Statistics": {"DataScannedInBytes": query.scanned},
                "WorkGroup": query.workgroup,
            }
        }

    def GetQueryResults(self, body: dict[str, Any]) -> dict[str, Any]:
        query = self._query(body)
        head = [[column["Name"] for column in query.columns]]
        rows = [*head, *query.rows][: body.get("MaxResults", 1000)]
        data = [
            {"Data": [{} if value is None else {"VarCharValue": _text(value)} for value in values]} for values in rows
        ]
        return {"ResultSet": {"Rows": data, "ResultSetMetadata": {"ColumnInfo": query.columns}}}

    def StopQueryExecution(self, body: dict[str, Any]) -> dict[str, Any]:
        query = self._query(body)
        if query.state in ("QUEUED", "RUNNING"):
            query.state, query.reason = "CANCELLED", "Query was cancelled by the user"
            if query.cursor is not None:
                query.cursor.cancel()
        return {}

    def _workgroup(self, name: str) -> WorkGroup:
        if name not in self.workgroups:
            raise Refused(f"WorkGroup {name} is not found.")
        return self.workgroups[name]

    def _query(self, body: dict[str, Any]) -> Query:
        key = body["QueryExecutionId"]
        if key not in self.queries:
            raise Refused(f"QueryExecution {key} was not found")
        return self.queries[key]

    def _execute(self, query: Query, limit: int | None) -> None:
        connection = trino.dbapi.connect(
            **self._trino, catalog=CATALOG, schema=query.database, timezone="UTC", legacy_primitive_types=True
        )
        query.cursor = connection.cursor()
        query.state = "RUNNING"
        sql = query.sql
        if query.parameters:
            # Athena takes parameters as the text of literals.
            quoted = sql.replace("'", "''")
            sql = f"EXECUTE IMMEDIATE '{quoted}' USING {', '.join(query.parameters)}"
        try:
            query.cursor.execute(sql)
            rows = query.cursor.fetchall()
            query.scanned = query.cursor.stats["physicalInputBytes"]
        except Exception as error:
            if query.state == "RUNNING":
                message = getattr(error, "message", None) or str(error)
                query.state, query.reason = "FAILED", f"{getattr(error, 'error_name', 'ERROR')}: {message}"
            return
        if query.state == "CANCELLED":
            return
        if limit and query.scanned > limit:
            query.state, query.reason = "CANCELLED", "Bytes scanned limit was exceeded"
            return
        query.columns = [_column(column) for column in query.cursor.description or []]
        query.rows = rows
        parts = urlsplit(query.output)
        content = _csv([column["Name"] for column in query.columns], rows)
        boto3.client("s3").put_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"), Body=content.encode())
        query.state = "SUCCEEDED"


def _column(column: Any) -> dict[str, Any]:
    base = column.type_code.split("(")[0]
    zone = " with time zone" if column.type_code.endswith("with time zone") else ""
    return {
        "Name": column.name,
        "Label": column.name,
        "Type": base + zone,
        "Precision": column.precision or 0,
        "Scale": column.scale or 0,
        "Nullable": "UNKNOWN",
        "CaseSensitive": False,
    }


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def quoted(value: Any) -> str:
        return "" if value is None else '"' + _text(value).replace('"', '""') + '"'

    out = StringIO()
    out.write(",".join(map(quoted, head)) + "\n")
    for row in rows:
        out.write(",".join(map(quoted, row)) + "\n")
    return out.getvalue()


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def athena(trino_url: str, port: int = 0) -> Iterator[tuple[AthenaServer, str]]:
    """The server, on 127.0.0.1, and its URL."""
    server = AthenaServer(trino_url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer is one segment: else the client's kernel waits 40 ms for the rest before it acknowledges.
        wbufsize = -1

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            operation = self.headers["X-Amz-Target"].split(".")[-1]
            try:
                status, answer = 200, server.answer(operation, body)
            except Refused as refused:
                status = 400
                answer = {"__type": refused.kind, "message": str(refused), "Message": str(refused)}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{http.server_address[1]}"
    finally:
        http.shutdown()
        http.server_close()
