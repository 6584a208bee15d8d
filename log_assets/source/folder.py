"""A folder of saved windows, with its sub-folders: JSON in any of the forms that `records.envelope` reads."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from log_assets.errors import SettingError, SourceError
from log_assets.records import body, lines
from log_assets.records.body import MAX_BODY
from log_assets.source import Body

logger = logging.getLogger(__name__)

_NAMES = re.compile(r".*\.(json|jsonl|ndjson|log)(\.gz)?", re.IGNORECASE | re.DOTALL)
# Files that are named in one line.
_SHOWN = 5


class FolderSource:
    """Windows that stay where they are, in order of name. A file that cannot be read stops no other: it is named at the
    end. One with another ending than `.json`, `.jsonl`, `.ndjson` or `.log` (and `.gz` behind it) is named too, once.
    """

    has_history = False
    rolling = False

    def __init__(self, url: str, *, max_body: int = MAX_BODY) -> None:
        parts = urlsplit(url)
        if not parts.path or parts.netloc:
            raise SettingError("SOURCE_URL names no folder: write file:///folder, with three slashes")
        self._folder = Path(unquote(parts.path))
        self._max_body = max_body
        self._told: list[str] = []
        self.url = self._folder.as_uri()

    def windows(self) -> Iterator[Body]:
        files, errors = self._files()
        if errors and not files:
            raise SourceError(f"the folder {self._folder} cannot be read ({errors[0].strerror}): check SOURCE_URL")
        bad = [f"{self._name(Path(error.filename))} ({error.strerror})" for error in errors]
        others = []
        for file in files:
            name = self._name(file)
            if not _NAMES.fullmatch(name):
                others.append(name)
                continue
            try:
                self._check(file)
                content = self._read(file)
            except (OSError, ValueError) as error:
                bad.append(f"{name} ({error.strerror if isinstance(error, OSError) else error})")
                continue
            yield Body(content, name)
        self._tell(others)
        if bad:
            raise SourceError(
                f"{len(bad)} files in {self._folder} cannot be read: {', '.join(bad[:_SHOWN])}; the others were; "
                "repair or remove these and run it again"
            )

    def history(self, start: datetime, end: datetime) -> Iterator[Body]:
        raise SourceError(f"{self.url} is a folder and has no history: log-assets poll --once reads all of it")

    def close(self) -> None:
        """Nothing is held open."""

    def _files(self) -> tuple[list[Path], list[OSError]]:
        """All that is in the folder and is none itself, and why a folder cannot be read. A link to one is not followed,
        and stands for itself."""
        found: list[Path] = []
        errors: list[OSError] = []
        for folder, folders, files in os.walk(self._folder, onerror=errors.append):
            links = [name for name in folders if Path(folder, name).is_symlink()]
            found += (Path(folder, name) for name in [*files, *links])
        return sorted(found), errors

    def _tell(self, others: list[str]) -> None:
        if others and others != self._told:
            logger.warning(
                "%d files in %s are not read, by their names: %s; windows are called *.json, *.jsonl, *.ndjson or "
                "*.log, and .gz behind it",
                len(others),
                self._folder,
                ", ".join(others[:_SHOWN]),
            )
        self._told = others

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _check(self, file: Path) -> None:
        """Raises ValueError for what is no file of this folder: a pipe would be waited for, a link leads anywhere."""
        target = file.resolve()
        if not target.is_relative_to(self._folder.resolve()):
            raise ValueError("a link that leaves the folder")
        if not target.is_file():
            raise ValueError("no regular file")

    def _read(self, file: Path) -> bytes:
        with file.open("rb") as opened:
            data = opened.read(self._max_body + 1)
        if len(data) > self._max_body:
            raise lines.TooLarge(f"more than {self._max_body:,} bytes")
        found = body.unpacked(data, self._max_body)
        if found.fault:
            raise ValueError(found.fault)
        return found.content
