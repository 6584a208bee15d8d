"""A source with history over HTTP: three records an hour, as fast as a test wants them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from log_assets.records.token import Keyring
from log_assets_tests.kit import BASE, body, record

RECORDS_AN_HOUR = 3


@contextmanager
def history(keyring: Keyring, seconds: float = 0.0) -> Iterator[str]:
    """Its SOURCE_URL; every answer takes so many seconds."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(seconds)
            query = parse_qs(urlsplit(self.path).query)
            first, last = (datetime.fromisoformat(query[name][0]) for name in ("from", "to"))
            hours = range(int((first - BASE).total_seconds()) // 3600, int((last - BASE).total_seconds()) // 3600)
            found = [record(hour * 3600 + number) for hour in hours for number in range(RECORDS_AN_HOUR)]
            content = body(keyring, found)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/?from={{start}}&to={{end}}"
    finally:
        server.shutdown()
        server.server_close()
