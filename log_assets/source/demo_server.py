"""The demo source over HTTP: a rolling window at `/logs`, and history with `?from=…&to=…`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from log_assets.records.token import Keyring
from log_assets.source.demo import DemoRecords

_START_SECONDS = 10.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class DemoServer:
    """What is served: whose records, under which key, by which clock; `late` numbers stand in every window."""

    keyring: Keyring
    records: DemoRecords = field(default_factory=DemoRecords)
    now: Callable[[], datetime] = _utc_now
    late: list[int] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/logs", self._logs)])

    def serve(self, host: str, port: int) -> None:
        """Serve until Ctrl+C or SIGTERM."""
        uvicorn.run(self.app(), host=host, port=port, log_level="warning")

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve in a thread on a free port of 127.0.0.1; gives the URL of the window."""
        server = uvicorn.Server(uvicorn.Config(self.app(), host="127.0.0.1", port=0, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        end = time.monotonic() + _START_SECONDS
        while not server.started:
            if time.monotonic() > end or not thread.is_alive():
                raise RuntimeError("the demo server did not start")
            time.sleep(0.01)
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}/logs"
        finally:
            server.should_exit = True
            thread.join()

    def _logs(self, request: Request) -> Response:
        start, end = request.query_params.get("from"), request.query_params.get("to")
        now = self.now()
        if start is None and end is None:
            return _json(self.records.window(self.keyring, now, self.late))
        try:
            first, last = _moment(start), _moment(end)
        except ValueError:
            return PlainTextResponse("from and to are ISO 8601 times in UTC, both or none\n", status_code=400)
        return _json(self.records.body(self.keyring, self.records.numbers(first, min(last, now))))


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def _moment(text: str | None) -> datetime:
    moment = datetime.fromisoformat(text or "")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
