"""Picks the lake's adapter by the scheme of its URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from log_assets.errors import SettingError
from log_assets.lake import Lake
from log_assets.lake.local import open_local
from log_assets.lake.s3 import open_s3


def open_lake(url: str) -> Lake:
    """The lake at `url` (LAKE_URL).

    Raises:
        SettingError: the URL is neither ``file:///folder`` nor ``s3://bucket/prefix``.
        LakeError: it cannot be opened.
    """
    match urlsplit(url).scheme:
        case "file":
            return open_local(url)
        case "s3":
            return open_s3(url)
    raise SettingError(f"LAKE_URL={url!r} is not understood: use file:///folder or s3://bucket/prefix")
