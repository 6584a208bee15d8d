"""Picks the source's adapter by the scheme of its URL."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from log_assets.errors import SettingError
from log_assets.records.token import Keyring
from log_assets.source import Source
from log_assets.source.demo import DemoSource
from log_assets.source.folder import FolderSource
from log_assets.source.http import HttpSource


def open_source(url: str, *, allow_http: bool = False, keyring: Keyring | None = None) -> Source:
    """The source at `url` (SOURCE_URL).

    Args:
        url: ``https://…``, ``http://…`` (loopback), ``file:///folder`` or ``demo://``.
        allow_http: take ``http`` to other hosts too.
        keyring: what the demo source encrypts with; no other source is given a key.

    Raises:
        SettingError: the URL is none of these, or the demo source has no key.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "https" | "http":
            return HttpSource(url, allow_http=allow_http)
        case "file":
            return FolderSource(url)
        case "demo":
            if keyring is None:
                raise SettingError("f_key is not set, and the demo source encrypts with it: run log-assets init")
            seed = parse_qs(parts.query).get("seed", ["0"])[0]
            if not seed.isdecimal():
                raise SettingError("SOURCE_URL names a seed that is no number: write demo://?seed=7")
            return DemoSource(keyring, int(seed))
    raise SettingError(
        f"SOURCE_URL has the scheme {parts.scheme!r}: use https://…, http://… on this machine, file:///folder or demo://"
    )
