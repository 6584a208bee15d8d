"""A proxy on 127.0.0.1 in front of the APIs of AWS: notes every call, and lets some fail on their way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class Fault(StrEnum):
    """How a call fails; the last one is done, and only its answer is lost."""

    ERROR = "500"
    THROTTLE = "throttle"
    TIMEOUT = "time-out"
    RESET = "connection reset"
    LOST = "answer lost"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a service answers in place of doing what it was asked for."""

    status: int
    code: str
    message: str = "made by a test"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One call, such as ``s3 PutObject rows/…`` or ``glue GetTable``; two tries of one call are equal."""

    service: str
    operation: str
    key: str = field(compare=False)
    digest: str = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.service} {self.operation}"


def call_of(method: str, target: str, headers: Any, body: bytes) -> Call:
    """What a request asks for: the services of JSON name it in a header, S3 by method, path and query."""
    parts = urlsplit(target)
    digest = hashlib.sha256(f"{method} {target}".encode() + body).hexdigest()
    if named := headers.get("X-Amz-Target"):
        prefix, operation = named.rsplit(".", 1)
        service = {"AWSGlue": "glue", "AmazonAthena": "athena"}.get(prefix.split(".")[0], prefix)
        given = json.loads(body or b"{}")
        # A token made anew a try names the same call.
        given.pop("ClientRequestToken", None)
        digest = hashlib.sha256(f"{named} {json.dumps(given, sort_keys=True)}".encode()).hexdigest()
        return Call(service, operation, "", digest)
    if b"Action=" in body:
        return Call("sts", parse_qs(body.decode())["Action"][0], "", digest)
    query = parse_qs(parts.query, keep_blank_values=True)
    key = parts.path.lstrip("/").partition("/")[2]
    if method == "POST" and "delete" in query:
        operation = "DeleteObjects"
    elif method == "GET" and not key:
        operation = "ListObjectsV2" if "list-type" in query else "GetBucket"
        key = query.get("prefix", [""])[0]
    else:
        operation = {"PUT": "Put", "GET": "Get", "HEAD": "Head", "DELETE": "Delete"}.get(method, method)
        operation += "Object" if key else "Bucket"
    return Call("s3", operation, key, digest)


@dataclass
class Proxy:
    """`fault` is asked at every call, and says how it fails, if at all."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    fault: Callable[[Call], Fault | Refusal | None] = lambda call: None
    hang_seconds: float = 3.0
    heads: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Every call's name and headers, these in small letters."""
    without: frozenset[str] = frozenset()
    """Headers, in small letters, that are not passed on: as of a store that does not know them."""

    def counted(self) -> dict[str, int]:
        """How many calls of each kind there were."""
        names = [call.name for call in self.calls]
        return {name: names.count(name) for name in sorted(set(names))}


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """The proxy in front of `upstream`, an http URL of 127.0.0.1, while the block lasts."""
    found = Proxy()
    host = urlsplit(upstream).netloc
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer is one segment: else the client's kernel waits 40 ms for the rest before it acknowledges.
        wbufsize = -1

        def _pass_on(self) -> None:
            body = self._body()
            call = call_of(self.command, self.path, self.headers, body)
            with lock:
                found.calls.append(call)
                found.heads.append((call.name, {name.lower(): value for name, value in self.headers.items()}))
                fault = found.fault(call)
            if fault is None or fault is Fault.LOST:
                status, headers, content = self._ask(body)
            if fault in (Fault.RESET, Fault.LOST):
                # With no time to linger, closing sends a reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                return
            if fault is Fault.TIMEOUT:
                time.sleep(found.hang_seconds)
                self.close_connection = True
                return
            if fault is not None:
                status, headers, content = _answer(call, fault)
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            head = self.command == "HEAD"
            length = next((value for name, value in headers if head and name.lower() == "content-length"), "")
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            if not head:
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on

        def _body(self) -> bytes:
            if self.headers.get("Expect", "").lower() == "100-continue":
                pass  # Answered by the base class already.
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = HTTPConnection(host, timeout=120)
            try:
                headers = {
                    name: value for name, value in self.headers.items() if name.lower() not in _HOP | found.without
                }
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            finally:
                connection.close()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        # More waiting connections than these are refused, which would be a fault that nobody asked for.
        request_queue_size = 128

    http = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield found
    finally:
        http.shutdown()
        with contextlib.suppress(OSError):
            http.server_close()


def _answer(call: Call, fault: Fault | Refusal) -> tuple[int, list[tuple[str, str]], bytes]:
    if not isinstance(fault, Refusal):
        throttled = fault is Fault.THROTTLE
        if call.service == "s3":
            fault = Refusal(503, "SlowDown") if throttled else Refusal(500, "InternalError")
        else:
            fault = Refusal(400, "ThrottlingException") if throttled else Refusal(500, "InternalServerException")
    if call.service in ("s3", "sts"):
        text, kind = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>", "application/xml"
        text = f"<ErrorResponse>{text}</ErrorResponse>" if call.service == "sts" else text
    else:
        text, kind = json.dumps({"__type": fault.code, "message": fault.message}), "application/x-amz-json-1.1"
    return fault.status, [("Content-Type", kind), *fault.headers], text.encode()
