"""docs/aws.md tells the truth: its commands, names and figures are those of code, template and arithmetic."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from log_assets.commands.cli import main
from log_assets.defs.sensors import Rules
from log_assets.query.sql import saved_queries
from log_assets.steps.capture import Pace
from log_assets.steps.due import _OVERLAP_HOURS
from log_assets_tests.acceptance import GETS_A_COMMAND, LISTS_A_COMMAND, prices
from log_assets_tests.cloudformation import Template

ROOT = Path(__file__).parent.parent
DOCS = (ROOT / "docs/aws.md").read_text()


def section(heading: str) -> str:
    return DOCS.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def block(heading: str) -> list[str]:
    found = re.search(r"```sh\n(.*?)```", section(heading), re.DOTALL)
    assert found is not None
    return found[1].strip().splitlines()


def test_ten_commands_lead_from_an_empty_account_to_the_first_query() -> None:
    commands = block("Ten commands")
    assert len(commands) == 10
    assert commands[0].startswith("aws cloudformation deploy")
    for command in commands:
        if command.startswith("log-assets"):
            _, name, *rest = command.split()
            main.commands[name].make_context(name, rest)
    assert commands[-1].split()[-1] in saved_queries()


def test_names_and_files_in_the_docs_exist() -> None:
    template = Template(ROOT / "deploy/template.yaml", "bucket")
    for name in re.findall(r"OutputKey=='(\w+)'", DOCS):
        assert name in template.outputs()
    for name in re.findall(r"`(\w+(?:RoleArn|Url|Days|Bytes))`", DOCS):
        assert name in {**template.outputs(), **template.parameters}, name
    for name in re.findall(r"(?:\]\(\.\./|`)(deploy/[\w./-]+)", DOCS):
        assert (ROOT / name).exists(), name
    assert template.resource("Key")["Name"] in DOCS


def test_what_acceptance_estimates_stands_in_the_docs() -> None:
    said = " ".join(section("Try it on your account").split())
    assert f"{LISTS_A_COMMAND} LIST or refused PUT and {GETS_A_COMMAND} GET a command, 2 GET a window" in said


@pytest.mark.parametrize("rate", [1, 100, 10_000])
def test_the_costs_are_what_the_arithmetic_gives(rate: int) -> None:
    """The formulas of the docs, with the prices and sizes that stand in them."""
    price = prices()
    pace = Pace()
    # A window of 100 records, unless so many come that it must be larger.
    size = max(100, math.ceil(rate / 60 * pace.floor / pace.overlap))
    interval = min(pace.ceiling, max(pace.floor, size * pace.overlap / (rate / 60)))
    windows = round(min(3600 / interval, rate * 60))
    ticks, runs = 3600 // Rules().interval_seconds, 5
    listed = math.ceil((_OVERLAP_HOURS + 0.5) * windows / 1000)
    puts = 3 * windows + 60 + ticks * (3 * listed + 2) + 10 * runs
    gets = 2 * windows + ticks * (windows // 6 + 1) + 10 * runs
    hours = 730
    raw = windows * size * 352 * 24 * 365 / 1e9
    published = rate * 60 * 45 * 24 * 365 / 1e9
    scanned = hours * runs * max(10e6, rate * 60 * 45) / 1e12
    costs = [
        puts * hours / 1000 * price["PUT and LIST"],
        gets * hours / 1000 * price["GET"],
        (raw + published) * price["storage"],
        scanned * price["Athena"],
        price["secret"],
    ]
    row = [f"{rate:,}", f"{windows:,}", f"{puts:,}", f"{gets:,}", _gb(raw), _gb(published)]
    row += [f"${cost:,.2f}" for cost in [*costs, sum(costs)]]
    assert f"| {' | '.join(row)} |" in DOCS, f"| {' | '.join(row)} |"


def _gb(size: float) -> str:
    return f"{size:,.0f} GB" if size >= 10 else f"{size:,.2f} GB"
