"""The guard in front of Dagster's webserver: no page but the UI's own gets anything done, whatever a browser sends.

Dagster takes mutations by GET and by a plain form, and looks at neither Host nor Origin: any page that a person opened
could launch runs on 127.0.0.1. A browser can't be kept from asking, so each request is judged by what a page can't
forge in it: Host (a rebound name is another name), Origin, Sec-Fetch-Site, and a content type that no form can send.
What is refused is told in one line of text. Who somebody is, is asked elsewhere: behind 127.0.0.1 or a login.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""The names that are always allowed."""

GRAPHQL = "/graphql"

_AUTHORITY = r"([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
_HOST = re.compile(_AUTHORITY, re.ASCII)
_ORIGIN = re.compile("(https?)://" + _AUTHORITY, re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}

_BAD_HOST = "the request names no host, several, or a malformed one"
_FOREIGN_HOST = "the UI is not served under this name: open it as 127.0.0.1, or put the name into ALLOWED_HOSTS"
_FOREIGN_PAGE = (
    "another web page asked for this, and only the UI's own may; if a proxy stands in front, let it pass Host on, and "
    "put the name into ALLOWED_HOSTS"
)
_NO_GET = "GraphQL is asked by POST with application/json"
_NO_METHOD = "only GET, HEAD and POST are answered"
_NO_JSON = "a POST is answered if it is application/json"

_ADDED_HEADERS = {
    # No frame of another page's, and no element in one, holds anything of the UI.
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
# Besides the policy that Dagster gives its page: a browser keeps to both.
_NO_FRAMES = "frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered: an HTTP status, and what to do, in a line."""

    status: int
    text: str


class Guard:
    """An ASGI application that passes on what `refusal` lets through.

    Args:
        app: Dagster's.
        hosts: names, besides the loopback ones, under which the UI may be asked for.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | set(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                headers.update(_ADDED_HEADERS)
                headers.append("Content-Security-Policy", _NO_FRAMES)
            await send(message)

        if refused := refusal(scope, self._hosts):
            await PlainTextResponse(f"{refused.text}\n", refused.status)(scope, receive, guarded)
            return
        if scope["path"] == GRAPHQL:
            # Belt and braces: a query that stands in the URL is none, whatever the method.
            scope = {**scope, "query_string": b""}
        await self._app(scope, receive, guarded)


def refusal(scope: Scope, hosts: Iterable[str]) -> Refusal | None:
    """Why the request of an ASGI `scope` is refused, if it is."""
    headers = Headers(scope=scope)
    host = _HOST.fullmatch(_one(headers, "host").lower())
    if host is None:
        return Refusal(400, _BAD_HOST)
    if host[1] not in hosts:
        return Refusal(403, _FOREIGN_HOST)
    if "origin" in headers and not _is_own(_one(headers, "origin").lower(), host):
        return Refusal(403, _FOREIGN_PAGE)
    if _one(headers, "sec-fetch-site") not in ("", "same-origin", "none") and not _opens_a_page(scope, headers):
        return Refusal(403, _FOREIGN_PAGE)
    # A websocket only tells: Dagster's answers subscriptions, and there is no other.
    return _refusal_of_method(scope, headers) if scope["type"] == "http" else None


def _refusal_of_method(scope: Scope, headers: Headers) -> Refusal | None:
    match scope["method"]:
        case "GET" | "HEAD":
            # A browser that opens it is shown a page to type queries in.
            if scope["path"] == GRAPHQL and "text/html" not in headers.get("accept", ""):
                return Refusal(405, _NO_GET)
        case "POST":
            # A form can't send it, and a page of another origin only after asking first, which is refused.
            if _one(headers, "content-type").split(";")[0].strip().lower() != "application/json":
                return Refusal(415, _NO_JSON)
        case _:
            return Refusal(405, _NO_METHOD)
    return None


def _is_own(origin: str, host: re.Match[str]) -> bool:
    """Whether an origin is the very host and port that was asked: another port is another's page.

    The scheme may differ from what arrives here, since a proxy in front ends TLS.
    """
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        return False
    scheme, name, port = found.groups()
    default = _DEFAULT_PORTS[scheme]
    return (name, int(port or default)) == (host[1], int(host[2] or default))


def _opens_a_page(scope: Scope, headers: Headers) -> bool:
    """Whether somebody follows a link to one of the UI's pages, in a tab of its own: that only shows it."""
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and scope["path"] != GRAPHQL
        and _one(headers, "sec-fetch-mode") == "navigate"
        and _one(headers, "sec-fetch-dest") == "document"
    )


def _one(headers: Headers, name: str) -> str:
    """A header's value; of several, all of them, which are then none of what is allowed."""
    return ", ".join(headers.getlist(name))
