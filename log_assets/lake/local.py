"""The lake in a local folder: `file:///folder`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore

from log_assets.errors import LakeError, NoLake, SettingError, shown
from log_assets.lake.store import FAILURES, ObjectLake, first_line


def open_local(url: str, *, create: bool = True) -> ObjectLake:
    """The lake in a folder, which with `create` is made when it is missing.

    Raises:
        NoLake: the folder is missing, and not to be made.
        SettingError: no folder is named.
        LakeError: the folder cannot be made, or is none.
    """
    parts = urlsplit(url)
    if not parts.path or parts.netloc:
        raise SettingError(f"LAKE_URL={shown(url)} names no folder: write file:///folder, with three slashes")
    folder = Path(unquote(parts.path))
    if not create and not folder.exists():
        raise NoLake(shown(url))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return ObjectLake(LocalStore(folder), folder.resolve().as_uri(), partial(open_local, url), folder)
    except FAILURES as error:
        raise LakeError(f"the lake {shown(url)} cannot be opened ({first_line(error)}): check LAKE_URL") from None
