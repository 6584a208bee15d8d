"""`.env`: what `init` writes down, so that a new shell finds the source and the lake that this one has."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from dotenv import dotenv_values, set_key

from log_assets.errors import SettingError, shown
from log_assets.settings import DOTENV, Settings

_ONLY_OWNER = 0o600


class Dotenv:
    """The `.env` of a folder, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / DOTENV

    def get(self, name: str) -> str | None:
        return dotenv_values(self.path).get(name)

    def set(self, name: str, value: str) -> None:
        """Write a setting down for good, unless it stands there, and into this process's environment.

        Raises:
            SettingError: the file cannot be written, or does not give back what was written.
        """
        try:
            if not self.get(name):
                self._write(name, value)
        except OSError as error:
            raise SettingError(
                f"{name} could not be written to {self.path} ({error.strerror}): set it in the environment"
            ) from None
        os.environ[name] = value

    def _write(self, name: str, value: str) -> None:
        if not self.path.exists():
            # Made empty and closed to others before a key goes in.
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _ONLY_OWNER))
        before = self.path.read_bytes()
        # As a shell would read it too, which of an & in a URL makes two commands.
        quote = "never" if shlex.quote(value) == value else "always"
        set_key(self.path, name, value, quote_mode=quote)
        if self.get(name) != value:
            self.path.write_bytes(before)
            self.close_to_others()
            raise SettingError(
                f"{name} cannot be written to {self.path}, where a line break or ${{…}} means something else: write "
                "it there by hand, or percent-encode it in the URL"
            )
        self.close_to_others()

    def close_to_others(self) -> None:
        if self.path.exists():
            self.path.chmod(_ONLY_OWNER)

    def source_conflict(self, settings: Settings) -> str | None:
        """What is wrong when the environment's source is another than the one that is written down."""
        written = self.get("SOURCE_URL")
        if not written or not settings.source_url or written == settings.source_url:
            return None
        return (
            f"SOURCE_URL is {shown(settings.source_url)} in the environment and {shown(written)} in {self.path}, from "
            "which a new shell would fill the same lake: make them equal, or give each source a LOG_ASSETS_HOME or "
            "LAKE_URL of its own"
        )

    def write_down(self, settings: Settings) -> Iterator[str]:
        """Write what the environment alone has: every setting but secrets, which are kept elsewhere on purpose.

        Yields a sentence for what was written, and for what could not be.
        """
        missing = [name for name in Settings.variables() if os.environ.get(name) and not self.get(name)]
        names = [name for name in missing if name not in Settings.secrets()]
        if not names:
            return
        try:
            for name in names:
                self._write(name, os.environ[name])
        except OSError as error:
            # Where the environment is what a unit or a container is given, that is enough.
            need = ", ".join(names)
            yield f"{self.path} could not be written ({error.strerror}): set {need} wherever log-assets runs"
            return
        yield f"{', '.join(names)} written to {self.path}, so that a new shell has the same"
        if "SOURCE_URL" in names:
            yield f"source: {shown(settings.source_url)}"
