"""The pages under docs/ name what is there: files, rooms, make targets and commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import log_assets
from log_assets.commands.cli import main
from log_assets.lake import layout

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def section(heading: str) -> str:
    return ARCHITECTURE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_commands_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for name in re.findall(r"`([\w./-]+\.(?:py|sql|yaml|json|toml|txt|md))`", text):
        if "/" in name or name.endswith(".py"):
            assert any(path.endswith(f"/{name}") or path == name for path in TRACKED), name
    for command in re.findall(r"log-assets ([a-z][a-z-]+)", text):
        assert command in main.commands, command
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets


def test_the_architecture_has_every_room_of_the_house() -> None:
    drawn = re.findall(r"^    (\S.*?)  +\S", str(log_assets.__doc__), re.MULTILINE)
    rooms = {room.strip("/") for row in drawn for room in row.split()} - {"__main__"}
    cells = re.findall(r"^\| (`.*?) \|", section("The house"), re.MULTILINE)
    told = {name.removesuffix(".py").strip("/") for cell in cells for name in re.findall(r"`([\w./]+)`", cell)}
    assert told == rooms


def test_the_picture_has_every_folder_of_the_lake() -> None:
    folders = (layout.RAW, layout.ROWS, layout.REJECTS, layout.RECEIPTS, layout.COMPACT, layout.CAPTURE)
    picture = ARCHITECTURE.split("\n[format.md]")[0]
    assert [folder for folder in folders if f"{folder}/" not in picture] == []


def test_the_glossary_has_the_words_that_the_code_uses() -> None:
    words = set(re.findall(r"^\| ([a-z ]+) \| ", section("Glossary"), re.MULTILINE)) - {"word"}
    assert {"window", "landing hour", "rows file", "receipt", "generation", "manifest", "stale", "partition"} <= words
    assert {"batch", "era", "reject"} <= words
    code = " ".join(path.read_text() for path in (ROOT / "log_assets").rglob("*.py"))
    assert [word for word in sorted(words) if word not in code] == []
