"""The README tells the truth: its settings, commands, make targets and files are those of the code."""

import re
import subprocess
from pathlib import Path

import click

from log_assets.commands.cli import main
from log_assets.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows(heading: str) -> dict[str, str]:
    """The first and second column of the table under a heading."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    return {name: text for name, text in re.findall(r"^\| `([^`]+)` \| (.*?) \|$", section, re.MULTILINE)}


def test_every_setting_stands_in_the_readme_in_the_codes_own_words() -> None:
    assert rows("Settings") == Settings.variables()


def test_every_command_stands_in_the_readme_in_the_words_of_its_help() -> None:
    helps = {f"log-assets {name}": " ".join((command.help or "").split()) for name, command in main.commands.items()}
    assert rows("Commands") == helps


def test_options_named_in_the_readme_exist() -> None:
    options = {
        option
        for command in (main, *main.commands.values())
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert named
    assert named <= options | {"--list"}


def test_make_targets_named_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", README)) - {"and", "what"}
    assert {"demo", "test", "clean-demo", "test-slow", "lint"} <= named
    assert named <= targets


def test_files_named_in_the_readme_exist() -> None:
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / name).exists(), name


def test_the_top_level_is_the_houses() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    top = {name.split("/")[0] for name in listed}
    assert {"log_assets", "log_assets_tests", "workspace.yaml", "pyproject.toml", "athena_sql", "README.md"} <= top


def test_no_registry_and_no_path_of_a_machine_is_committed() -> None:
    words = [
        "pypi" + ".org",
        "python" + "hosted",
        "repo." + "maven",
        "registry." + "npmjs",
        "deb." + "debian",
        "/ro" + "ot/",
    ]
    found = subprocess.run(
        ["git", "grep", "-nIE", "|".join(map(re.escape, words))], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""


def test_no_heading_of_the_readme_stands_there_twice() -> None:
    headings = re.findall(r"^#+ .*$", README, re.MULTILINE)
    assert len(headings) == len(set(headings))
