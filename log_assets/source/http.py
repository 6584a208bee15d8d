"""A source over HTTP: a rolling window, or history by range when the URL holds ``{start}`` and ``{end}``."""

from __future__ import annotations

import ipaddress
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

import httpx

from log_assets.errors import SettingError, SourceError, shown
from log_assets.records import body, lines
from log_assets.records.body import MAX_BODY
from log_assets.retries import Transient, retrying
from log_assets.source import Body

_REDIRECTS = 5
_LEAST_RANGE = timedelta(seconds=1)
_GOOD = frozenset({httpx.codes.OK, httpx.codes.NON_AUTHORITATIVE_INFORMATION, httpx.codes.NO_CONTENT})
_SERVER_ERRORS = frozenset({408, 425, 429, *range(500, 600)})
# A wait that the source asks for is believed up to so many seconds.
_LONGEST_WAIT = 3600.0
# A backfill waits so long at a source's word, and no longer.
_PATIENCE = 300.0
_RANGE_NOW = timedelta(minutes=2)
_OF_THE_CLIENT = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect, between two reads, and for a whole answer; tries; bytes of a body, decompressed; ranges of
    history asked for in a second."""

    connect: float = 5.0
    read: float = 10.0
    whole: float = 30.0
    attempts: int = 3
    max_body: int = MAX_BODY
    per_second: float = 5.0


class _TooLarge(SourceError):
    """A body over the limit: a range of history may be halved."""


class _Transient(Transient, SourceError):
    """A fault that may be over at the next try."""


class _Broken(_Transient):
    """An answer in gzip that cannot be unpacked whole, as it came."""

    def __init__(self, text: str, content: bytes) -> None:
        super().__init__(text)
        self.content = content


class HttpSource:
    """Asks one URL, with time-outs, retries with backoff and jitter, and bounded memory.

    ``https`` is required unless the host is this machine or `allow_http` is given; redirects are followed a few times
    and never to another scheme. No error text holds more of the URL than scheme, host and path.
    """

    rolling = True

    def __init__(self, url: str, *, allow_http: bool = False, limits: Limits | None = None) -> None:
        self._template = url
        self._limits = limits or Limits()
        parts = urlsplit(url)
        self.has_history = "{start}" in url and "{end}" in url
        if not parts.hostname:
            raise SettingError("SOURCE_URL names no host: write https://host/path")
        if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname):
            raise SettingError(
                f"SOURCE_URL asks {parts.hostname} by http, which anyone on the way can read: use https, or set "
                "SOURCE_ALLOW_HTTP=1"
            )
        self.url = shown(url)
        self._stopped = threading.Event()
        self._client = self._new_client()
        self._next_at = 0.0

    def _new_client(self) -> httpx.Client:
        try:
            return httpx.Client(
                timeout=httpx.Timeout(self._limits.read, connect=self._limits.connect),
                headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "log-assets"},
            )
        except Exception as error:
            # It reads proxies and certificates from the environment, and fails at each in a way of its own. Its words
            # may hold a proxy's password.
            names = [name for name in _OF_THE_CLIENT if os.environ.get(name) or os.environ.get(name.lower())]
            if not names:
                raise
            socks = "; a SOCKS proxy needs pip install 'httpx[socks]'" if isinstance(error, ImportError) else ""
            raise SettingError(
                f"the source cannot be asked as {', '.join(names)} would have it ({type(error).__name__}): correct or "
                f"unset what is wrong{socks}"
            ) from None

    def windows(self) -> Iterator[Body]:
        if self.has_history:
            now = datetime.now(UTC)
            yield from self.history(now - _RANGE_NOW, now)
        else:
            try:
                content = self._get(self._template)
            except _Broken as error:
                # It is gone at the next poll: what can be read of it is.
                content = error.content
            yield Body(content, self.url)

    def history(self, start: datetime, end: datetime) -> Iterator[Body]:
        if not self.has_history:
            raise SourceError(
                f"{self.url} shows only what is recent: if it has history, write it with {{start}} and {{end}}, "
                "like https://host/logs?from={start}&to={end}"
            )
        url = self._template.replace("{start}", _iso(start)).replace("{end}", _iso(end))
        try:
            yield Body(self._get_politely(url), f"{self.url} from {start.isoformat()} to {end.isoformat()}")
        except _TooLarge as error:
            middle = start + (end - start) / 2
            middle = middle.replace(microsecond=0)
            if end - start <= _LEAST_RANGE or middle <= start:
                raise SourceError(f"{error}, even for {_LEAST_RANGE.seconds} s: ask the source's owner") from None
            yield from self.history(start, middle)
            yield from self.history(middle, end)

    def close(self) -> None:
        self._stopped.set()
        self._client.close()

    def _get_politely(self, url: str) -> bytes:
        """History can be asked for at any time: no faster than allowed, and again when the source says it may be."""
        for attempt in range(1, self._limits.attempts + 1):
            self._stopped.wait(max(0.0, self._next_at - time.monotonic()))
            self._next_at = time.monotonic() + 1 / self._limits.per_second
            try:
                return self._get(url)
            except SourceError as error:
                wait = error.retry_after
                if wait is None or wait > _PATIENCE or attempt == self._limits.attempts or self._stopped.wait(wait):
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _get(self, url: str) -> bytes:
        for attempt in retrying(attempts=self._limits.attempts, first_wait=0.2, timeout=self._limits.whole):
            with attempt:
                if self._stopped.is_set():
                    raise SourceError(f"{self.url} is not asked any more: stopped")
                return self._once(url)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _once(self, url: str) -> bytes:
        # The client's time-outs are between two reads: headers that drip in would never end it.
        expired = threading.Event()
        client = self._client

        def break_off() -> None:
            expired.set()
            client.close()

        timer = threading.Timer(self._limits.whole, break_off)
        timer.daemon = True
        timer.start()
        try:
            return self._exchange(url)
        except SourceError:
            if expired.is_set() and not self._stopped.is_set():
                raise self._too_slow() from None
            raise
        finally:
            timer.cancel()
            if expired.is_set() and not self._stopped.is_set():
                self._client = self._new_client()

    def _exchange(self, url: str) -> bytes:
        end = time.monotonic() + self._limits.whole
        try:
            for _ in range(_REDIRECTS + 1):
                with self._client.stream("GET", url) as response:
                    if response.has_redirect_location:
                        url = self._redirected(url, response)
                        continue
                    self._check(response)
                    return self._read(response, end)
        except httpx.TimeoutException:
            raise _Transient(f"{self.url} did not answer in time: is it up, and SOURCE_URL right?") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, RuntimeError) as error:
            if self._stopped.is_set():
                raise SourceError(f"{self.url} is not asked any more: stopped") from None
            # The library's own words may hold the whole URL; its class says enough.
            raise _Transient(
                f"{self.url} could not be read ({type(error).__name__}): is it up, and SOURCE_URL right?"
            ) from None
        raise SourceError(f"{self.url} redirected more than {_REDIRECTS} times: check SOURCE_URL")

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in _SERVER_ERRORS:
            wait = _retry_after(response.headers.get("retry-after", ""))
            if wait is not None:
                error = SourceError(f"{self.url} answered {status}, and wants no request for {wait:.0f} s")
                error.retry_after = wait
                raise error
            raise _Transient(
                f"{self.url} answered {status}: its server is in trouble or wants fewer requests; try later"
            )
        if status not in _GOOD:
            raise SourceError(f"{self.url} answered {status}: check SOURCE_URL and its credentials")

    def _redirected(self, url: str, response: httpx.Response) -> str:
        target = httpx.URL(url).join(response.headers["location"])
        if target.scheme != urlsplit(url).scheme:
            raise SourceError(
                f"{self.url} redirects to another scheme, {target.scheme}: set SOURCE_URL to where it leads"
            )
        # What goes with a request (a user, a token in the query) is for the host that was named, and for no other.
        if target.host != urlsplit(url).hostname:
            raise SourceError(f"{self.url} redirects to another host, {target.host}: set SOURCE_URL to where it leads")
        return str(target)

    def _read(self, response: httpx.Response, end: float) -> bytes:
        content = bytearray()
        # As it comes over the wire: the library would unpack a whole piece of a bomb at once.
        for piece in response.iter_raw():
            content += piece
            if len(content) > self._limits.max_body:
                raise self._too_large()
            if time.monotonic() > end:
                raise self._too_slow()
            if self._stopped.is_set():
                raise SourceError(f"{self.url} is not asked any more: stopped")
        # Headers say gzip where there is none, and nothing where there is: the content tells.
        try:
            opened = body.unpacked(bytes(content), self._limits.max_body)
        except lines.TooLarge:
            raise self._too_large() from None
        if opened.fault:
            raise _Broken(f"{self.url} answered with {opened.fault}; try later", bytes(content))
        return opened.content

    def _too_slow(self) -> _Transient:
        return _Transient(f"{self.url} took longer than {self._limits.whole:g} s for one answer; try later")

    def _too_large(self) -> _TooLarge:
        return _TooLarge(f"{self.url} answered with more than {self._limits.max_body:,} bytes")


def _retry_after(text: str) -> float | None:
    """Seconds from a Retry-After header (RFC 9110: seconds, or a date); None when it is neither."""
    if text.strip().isdecimal():
        wait = float(text)
    else:
        try:
            wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(wait, 0.0), _LONGEST_WAIT)


def _iso(moment: datetime) -> str:
    return quote(f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", safe="")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
