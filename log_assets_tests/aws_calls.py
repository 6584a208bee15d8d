"""Which calls clients made of AWS, read off the HTTP requests that a server saw: action, resource, context."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from log_assets_tests.cloudformation import PSEUDO
from log_assets_tests.iam_policy import Call

_ARN = f"{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}"
_S3_ROOT = "arn:aws:s3:::"


@dataclass(frozen=True)
class Request:
    """One HTTP request; `target` is the operation that the JSON services name in a header."""

    method: str
    url: str
    target: str
    agent: str
    body: bytes
    if_none_match: str | None = None


class Tap:
    """Passes WSGI requests on, and tells whoever listens."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if _listeners:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            body = environ["wsgi.input"].read(length)
            environ["wsgi.input"] = io.BytesIO(body)
            query = environ.get("QUERY_STRING", "")
            path = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"]
            request = Request(
                environ["REQUEST_METHOD"],
                f"{path.split('?')[0]}?{query}",
                environ.get("HTTP_X_AMZ_TARGET", ""),
                environ.get("HTTP_USER_AGENT", ""),
                body,
                environ.get("HTTP_IF_NONE_MATCH"),
            )
            for listener in _listeners:
                listener(request)
        return self._application(environ, start_response)


_listeners: list[Callable[[Request], None]] = []


@contextmanager
def listening() -> Iterator[list[Request]]:
    """The requests that come while the block lasts."""
    found: list[Request] = []
    _listeners.append(found.append)
    try:
        yield found
    finally:
        _listeners.pop()


def calls(requests: Iterable[Request]) -> list[Call]:
    """What is to be allowed for `requests`; raises `ValueError` for one that is not known."""
    found: dict[tuple[str, str, str], Call] = {}
    for request in requests:
        service, _, operation = request.target.rpartition(".")
        body = json.loads(request.body) if operation else {}
        if service == "AWSGlue":
            some = [Call(f"glue:{operation}", arn) for arn in _glue(operation, body)]
        elif service == "secretsmanager":
            some = [Call(f"secretsmanager:{operation}", body["SecretId"])]
        elif operation:
            raise ValueError(f"{request.target} is not known")
        else:
            some = list(_s3(request))
        found |= {(one.action, one.resource, str(one.context)): one for one in some}
    return list(found.values())


def athena_call(operation: str, workgroup: str) -> Call:
    return Call(f"athena:{operation}", f"arn:aws:athena:{_ARN}:workgroup/{workgroup}")


def _glue(operation: str, body: dict[str, Any]) -> list[str]:
    """What Glue asks a right for: the catalog, the database, and, for a table or its partitions, the table."""
    root = f"arn:aws:glue:{_ARN}"
    if operation in ("GetDatabases", "GetDatabase", "CreateDatabase", "DeleteDatabase"):
        name = body.get("Name") or body.get("DatabaseInput", {}).get("Name")
        return [f"{root}:catalog", *([f"{root}:database/{name}"] if name else [])]
    database = body["DatabaseName"]
    table = body.get("TableName") or body.get("Name") or body.get("TableInput", {}).get("Name") or "*"
    return [f"{root}:catalog", f"{root}:database/{database}", f"{root}:table/{database}/{table}"]


def _s3(request: Request) -> Iterator[Call]:
    parts = urlsplit(request.url)
    query = parse_qs(parts.query, keep_blank_values=True)
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    match request.method, bool(key):
        case "GET", False if "list-type" in query or "prefix" in query:
            prefix = query.get("prefix")
            yield Call("s3:ListBucket", _S3_ROOT + bucket, {"s3:prefix": prefix[0]} if prefix else {})
        case "GET", False if "location" in query:
            yield Call("s3:GetBucketLocation", _S3_ROOT + bucket)
        case "HEAD", False:
            yield Call("s3:ListBucket", _S3_ROOT + bucket)
        case "POST", False if "delete" in query:
            for one in ET.fromstring(request.body).iter():
                if one.tag.endswith("Key"):
                    yield Call("s3:DeleteObject", f"{_S3_ROOT}{bucket}/{one.text}")
        case (("GET" | "HEAD"), True) if not query or set(query) <= {"partNumber", "x-id"}:
            yield Call("s3:GetObject", f"{_S3_ROOT}{bucket}/{key}")
        case "PUT", True if not query or set(query) <= {"x-id"}:
            context = {} if request.if_none_match is None else {"s3:if-none-match": request.if_none_match}
            yield Call("s3:PutObject", f"{_S3_ROOT}{bucket}/{key}", context)
        case "DELETE", True if not query:
            yield Call("s3:DeleteObject", f"{_S3_ROOT}{bucket}/{key}")
        case _:
            raise ValueError(f"{request.method} {request.url} is not known")
