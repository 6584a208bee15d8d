"""The command line as a person types it: commands in a folder, with an environment of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from log_assets.commands.cli import main
from log_assets.records.token import Keyring


class Shell:
    """Runs commands in a folder with an environment of its own, as separate invocations would."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.keyring = Keyring.parse(Keyring.generate())
        self.source = folder / "source"
        self.source.mkdir()
        self.set(START_HOUR="2023-03-10-00")
        monkeypatch.chdir(folder)

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)

    def use_folder(self, key: str | None = None) -> None:
        key = key or Keyring.generate()
        self.keyring = Keyring.parse(key)
        self.set(SOURCE_URL=self.source.as_uri(), f_key=key)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, arguments)

    def done(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def failed(self, *arguments: str, code: int = 1) -> str:
        result = self.run(*arguments)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.stderr

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.done("status", "--format", "json"))
        return found
