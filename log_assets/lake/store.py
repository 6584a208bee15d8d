"""The lake over obstore, which gives a local folder and what speaks S3 one interface."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from log_assets import aws
from log_assets.errors import LakeError, NotFound
from log_assets.lake import Entry
from log_assets.lake.layout import PROBE, folder_of, is_staged
from log_assets.retries import retrying

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# A folder of keys is deleted, by an object store, in one call of so many.
_DELETE_AT_ONCE = 1000
_PIECE = 1 << 20
_LISTED_AT_ONCE = 1000

_UNTRUSTED = "InvalidCertificate"
_NO_BUCKET = "NoSuchBucket"
_ATTEMPTS = 3
_FIRST_WAIT = 0.1
_ANSWER = re.compile(r"<Code>(\w+)</Code>\s*<Message>([^<]*)</Message>")

# obstore's own errors share no base with the built-in ones that it raises as well.
FAILURES = (BaseError, OSError, ValueError)


class ObjectLake:
    """Objects below one folder or prefix of a store.

    Args:
        store: obstore's.
        url: the lake's, without options.
        reopen: opens it anew, in another process.
        folder: where it lies, if it is local.
    """

    def __init__(
        self, store: ObjectStore, url: str, reopen: Callable[[], ObjectLake], folder: Path | None = None
    ) -> None:
        self._store = store
        self._reopen = reopen
        self._folder = folder
        self.url = url.rstrip("/")

    def __reduce__(self) -> tuple[Callable[[], ObjectLake], tuple[()]]:
        return self._reopen, ()

    def put(self, key: str, content: bytes) -> bool:
        try:
            self._with_retries(partial(obstore.put, self._store, key, content, mode="create", use_multipart=False))
        except AlreadyExistsError:
            return False
        except FAILURES as error:
            raise self._failed("written", key, error) from None
        return True

    def replace(self, key: str, content: bytes) -> None:
        try:
            obstore.put(self._store, key, content, use_multipart=False)
        except FAILURES as error:
            raise self._failed("written", key, error) from None

    def get(self, key: str) -> bytes:
        try:
            return obstore.get(self._store, key).bytes().to_bytes()
        except FileNotFoundError as error:
            # Where the bucket is missing, no answer is about the key.
            if _NO_BUCKET in str(error):
                raise self._failed("read", key, error) from None
            raise NotFound(f"{self.url}/{key} is not there") from None
        except FAILURES as error:
            raise self._failed("read", key, error) from None

    def pieces(self, key: str) -> Iterator[bytes]:
        try:
            for piece in obstore.get(self._store, key).stream(min_chunk_size=_PIECE):
                yield bytes(piece)
        except FileNotFoundError:
            raise NotFound(f"{self.url}/{key} is not there") from None
        except FAILURES as error:
            raise self._failed("read", key, error) from None

    def exists(self, key: str) -> bool:
        try:
            obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        except FAILURES as error:
            raise self._failed("read", key, error) from None
        return True

    def entries(self, prefix: str, after: str = "", until: str = "") -> Iterator[Entry]:
        try:
            entries = list(self._listed(prefix, after, until))
        except FAILURES as error:
            raise self._failed("listed", prefix, error) from None
        # A local folder is listed in the file system's order, an object store in the order of keys.
        return iter(sorted(entries, key=lambda entry: entry.key))

    def _listed(self, prefix: str, after: str, until: str) -> Iterator[Entry]:
        folders = [prefix]
        if until and self._folder:
            # An object store gives keys in order, and ends where it is told to; of a local folder each part is asked.
            found = [f"{prefix}/{name}" for name in self.folders(prefix) if name <= until]
            folders = [folder for folder in found if f"{folder}/~" > after]
        for folder in folders:
            for metas in obstore.list(self._store, folder, offset=after or None, chunk_size=_LISTED_AT_ONCE):
                for meta in metas:
                    if until and folder_of(meta["path"]) > until:
                        return
                    yield Entry(meta["path"], meta["size"], meta["last_modified"])

    def folders(self, prefix: str) -> list[str]:
        try:
            found = obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]
        except FAILURES as error:
            raise self._failed("listed", prefix, error) from None
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in found)

    def delete(self, keys: Iterable[str]) -> None:
        rest = iter(keys)
        # A local folder takes a missing key for an error, and with it the rest of the call.
        while some := list(islice(rest, 1 if self._folder else _DELETE_AT_ONCE)):
            try:
                self._with_retries(partial(obstore.delete, self._store, some))
            except FileNotFoundError:
                continue
            except FAILURES as error:
                raise self._failed("deleted", some[0], error) from None

    def now(self) -> datetime:
        key = f"{PROBE}/{uuid.uuid4().hex}"
        self.put(key, b"")
        try:
            modified: datetime = obstore.head(self._store, key)["last_modified"]
        except FAILURES as error:
            raise self._failed("read", key, error) from None
        finally:
            self.delete([key])
        return modified

    def remove_staged(self, before: datetime) -> int:
        if self._folder is None:
            return 0
        # A local put is staged as name#1 beside its target and then linked; obstore never lists such names.
        removed = 0
        for path in self._folder.rglob("*#*"):
            try:
                ours = is_staged(path.relative_to(self._folder).as_posix())
                if ours and path.is_file() and path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
        return removed

    def location(self, prefix: str) -> str:
        return f"{self.url}/{prefix}/"

    def _with_retries(self, call: Callable[[], object]) -> None:
        """Make a call again that broke off on its way, which obstore does not where twice might not be once: a put
        that creates, a deletion. Here it is: a key always holds the same content."""
        try:
            # Nearly every call is done here, without the retrying library: it takes 20 µs, and 30 ms to import.
            call()
            return
        except BaseError as error:
            if not _broke_off(error):
                raise
        for attempt in retrying(attempts=_ATTEMPTS - 1, first_wait=_FIRST_WAIT, on=_broke_off):
            with attempt:
                call()

    def _failed(self, done: str, key: str, error: Exception) -> LakeError:
        said = first_line(error)
        # Of a certificate, what came is told at the dump's very end.
        said_of_trust = _UNTRUSTED if _UNTRUSTED in str(error) else ""
        known = aws.hint(f"{said} {said_of_trust}") if self._folder is None else None
        hint = f"{known}; check LAKE_URL" if known else "check LAKE_URL, its rights and its space"
        return LakeError(f"{self.url}/{key} could not be {done} ({said}): {hint}")


def _broke_off(error: Exception) -> bool:
    said = first_line(error)
    return isinstance(error, BaseError) and "HTTP error" in said and "retries" not in said


def first_line(error: Exception) -> str:
    """What is for people: the code and message of S3's answer, or the first line: a dump of the inside follows."""
    said = str(error).strip()
    if answer := _ANSWER.search(said):
        return f"{answer[1]}: {answer[2]}"
    return said.split("\n", 1)[0]
