"""docs/options.md: every command with its options, as `--help` shows them. `make reference` writes it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from log_assets.commands.cli import main

PAGE = Path(__file__).parent.parent / "docs/options.md"
WIDTH = 100


def page() -> str:
    """The whole page; the same on every machine, whatever its terminal and its settings."""
    with _context(main, "log-assets") as whole:
        parts = [("log-assets", main.get_help(whole))]
        for name in main.list_commands(whole):
            command = main.commands[name]
            with _context(command, name, whole) as context:
                parts.append((context.command_path, command.get_help(context)))
    sections = [f"## {title}\n\n```\n{text}\n```\n" for title, text in parts]
    return "\n".join(["# Commands and their options\n", _INTRODUCTION, *sections])


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return click.Context(
        command,
        parent,
        name,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **command.context_settings,
    )


_INTRODUCTION = """\
What `--help` prints, of the program and of each command. `make reference` writes this page; a test fails when it lags
behind the code. Settings come from the environment and `.env`: see the [README](../README.md#settings).
"""

if __name__ == "__main__":
    sys.stdout.write(page())
