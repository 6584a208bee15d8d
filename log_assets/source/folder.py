"""A folder of saved windows: `*.json` and `*.json.gz`, each a list or JSON a line, in order of name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from log_assets.errors import SettingError, SourceError
from log_assets.records import lines
from log_assets.records.envelope import MAX_BODY
from log_assets.source import Body


class FolderSource:
    """Windows that stay where they are. A file that cannot be read stops no other: it is named at the end."""

    has_history = False
    rolling = False

    def __init__(self, url: str, *, max_body: int = MAX_BODY) -> None:
        parts = urlsplit(url)
        if not parts.path or parts.netloc:
            raise SettingError("SOURCE_URL names no folder: write file:///folder, with three slashes")
        self._folder = Path(unquote(parts.path))
        self._max_body = max_body
        self.url = self._folder.as_uri()

    def windows(self) -> Iterator[Body]:
        try:
            files = sorted(path for path in self._folder.iterdir() if path.name.endswith((".json", ".json.gz")))
        except OSError as error:
            raise SourceError(
                f"the folder {self._folder} cannot be read ({error.strerror}): check SOURCE_URL"
            ) from None
        bad = []
        for file in files:
            try:
                self._check(file)
                content = self._read(file)
            except (OSError, ValueError) as error:
                bad.append(f"{file.name} ({error.strerror if isinstance(error, OSError) else error})")
                continue
            yield Body(content, file.name)
        if bad:
            raise SourceError(
                f"{len(bad)} files in {self._folder} cannot be read: {', '.join(bad[:5])}; the others were; repair or "
                "remove these and run it again"
            )

    def history(self, start: datetime, end: datetime) -> Iterator[Body]:
        raise SourceError(f"{self.url} is a folder and has no history: log-assets poll --once reads all of it")

    def close(self) -> None:
        """Nothing is held open."""

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
        if file.suffix == ".gz":
            data = lines.gunzip(data, self._max_body)
        if len(data) > self._max_body:
            raise lines.TooLarge(f"more than {self._max_body:,} bytes")
        return data
