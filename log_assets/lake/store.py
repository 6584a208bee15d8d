"""The lake over obstore: one adapter for a local folder and for what speaks S3."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from log_assets.errors import LakeError, NotFound, SettingError
from log_assets.lake import Entry, Lake
from log_assets.lake.layout import PROBE

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# obstore's own errors share no base with the built-in ones that it raises as well.
_FAILURES = (BaseError, OSError, ValueError)


def open_lake(url: str) -> Lake:
    """The lake at `url` (LAKE_URL); the scheme picks the adapter.

    Raises:
        SettingError: another scheme than ``file``, or no folder named.
        LakeError: the folder cannot be made or is none.
    """
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise SettingError(f"LAKE_URL={url!r} is not understood: use file:///folder")
    if not parts.path or parts.netloc:
        raise SettingError(f"LAKE_URL={url!r} names no folder: write file:///folder, with three slashes")
    folder = Path(unquote(parts.path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return ObjectLake(LocalStore(folder), folder.resolve().as_uri(), folder)
    except _FAILURES as error:
        raise LakeError(f"the lake {url} cannot be opened ({_first_line(error)}): check LAKE_URL") from None


class ObjectLake:
    """Objects below one folder or prefix of a store."""

    def __init__(self, store: ObjectStore, url: str, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder
        self.url = url.rstrip("/")

    def put(self, key: str, content: bytes) -> bool:
        try:
            obstore.put(self._store, key, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except _FAILURES as error:
            raise self._failed("written", key, error) from None
        return True

    def replace(self, key: str, content: bytes) -> None:
        try:
            obstore.put(self._store, key, content, use_multipart=False)
        except _FAILURES as error:
            raise self._failed("written", key, error) from None

    def get(self, key: str) -> bytes:
        try:
            return obstore.get(self._store, key).bytes().to_bytes()
        except FileNotFoundError:
            raise NotFound(f"{self.url}/{key} is not there") from None
        except _FAILURES as error:
            raise self._failed("read", key, error) from None

    def exists(self, key: str) -> bool:
        try:
            obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        except _FAILURES as error:
            raise self._failed("read", key, error) from None
        return True

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        try:
            metas = obstore.list(self._store, prefix, offset=after or None).collect()
        except _FAILURES as error:
            raise self._failed("listed", prefix, error) from None
        entries = [Entry(meta["path"], meta["size"], meta["last_modified"]) for meta in metas]
        # A local folder is listed in the file system's order, an object store in the order of keys.
        return iter(sorted(entries, key=lambda entry: entry.key))

    def folders(self, prefix: str) -> list[str]:
        try:
            found = obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]
        except _FAILURES as error:
            raise self._failed("listed", prefix, error) from None
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in found)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                continue
            except _FAILURES as error:
                raise self._failed("deleted", key, error) from None

    def now(self) -> datetime:
        key = f"{PROBE}/{uuid.uuid4().hex}"
        self.put(key, b"")
        try:
            modified: datetime = obstore.head(self._store, key)["last_modified"]
        except _FAILURES as error:
            raise self._failed("read", key, error) from None
        finally:
            self.delete([key])
        return modified

    def sweep(self, before: datetime) -> int:
        if self._folder is None:
            return 0
        # A local put is staged as name#1 beside its target and then linked; obstore never lists such names.
        swept = 0
        for path in self._folder.rglob("*#*"):
            try:
                if path.is_file() and path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    swept += 1
            except FileNotFoundError:
                continue
        return swept

    def location(self, prefix: str) -> str:
        return f"{self.url}/{prefix}/"

    def _failed(self, done: str, key: str, error: Exception) -> LakeError:
        return LakeError(
            f"{self.url}/{key} could not be {done} ({_first_line(error)}): check LAKE_URL, its rights and its space"
        )


def _first_line(error: Exception) -> str:
    """obstore appends a dump of the error's inside; its first line is for people."""
    return str(error).strip().split("\n", 1)[0]
