"""How often lake and catalog are asked to publish hours: an hour's state is read once, and for many hours together.

`entries` and `folders` are LISTs, `get` and `put` of the lake carry data; `get` of the catalog is told apart as `read`.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from log_assets.hour import Hour
from log_assets.steps import publish as publish_module
from log_assets.steps.compact import Compacted, compact_all
from log_assets.steps.pool import serial_pool
from log_assets.steps.publish import Published, publish
from log_assets_tests.counting import Counting
from log_assets_tests.kit import H0, Kit, record

HOURS = [H0.plus(number) for number in range(100)]


@pytest.fixture
def kit(kit: Kit) -> Kit:
    """All hours are past."""
    kit.clock = HOURS[-1].end
    return kit


def published(kit: Kit, hours: list[Hour], *, compact_first: bool = False) -> Counter[str]:
    """The calls that one publication of `hours` made."""
    lake: Counter[str] = Counter()
    catalog: Counter[str] = Counter()
    ports = Counting(kit.lake, lake), Counting(kit.catalog, catalog)
    made = None
    if compact_first:
        outcomes = zip(hours, compact_all(*ports, hours, serial_pool()), strict=True)
        made = {hour: one for hour, one in outcomes if isinstance(one, Compacted)}
    outcome = publish(*ports, hours, kit.now, made)
    assert all(isinstance(one, Published) for one in outcome.values()), outcome
    return lake + Counter({"read" if name == "get" else name: number for name, number in catalog.items()})


@pytest.mark.parametrize("compact_first", [False, True], ids=["publish", "compact, then publish"])
@pytest.mark.parametrize("number", [1, 100])
def test_a_first_publication(kit: Kit, number: int, compact_first: bool) -> None:
    hours = HOURS[:number]
    kit.land([record(3600 * n) for n in range(number)])
    # Two LISTs before, two after; data and manifest of each hour; what the catalog is asked is one call each.
    assert published(kit, hours, compact_first=compact_first) == {
        "entries": 4,
        "get": number,
        "put": 2 * number,
        "read": 1,
        "move": 1,
    }


@pytest.mark.parametrize("number", [1, 100])
def test_a_publication_with_nothing_new(kit: Kit, number: int) -> None:
    hours = HOURS[:number]
    kit.land([record(3600 * n) for n in range(number)])
    kit.publish(*hours)
    assert published(kit, hours) == {"entries": 2, "get": number, "read": 1}


@pytest.mark.parametrize("number", [1, 100])
def test_the_hour_in_progress_once_more(kit: Kit, number: int) -> None:
    """After three generations within a day, none of which was tidied yet."""
    hours = HOURS[:number]
    for again in range(3):
        kit.land([record(3600 * n + again) for n in range(number)])
        kit.publish(*hours)
    kit.land([record(3600 * n + 3) for n in range(number)])
    # Rows and published lines are read, and the manifests of all three generations.
    assert published(kit, hours) == {"entries": 4, "get": 5 * number, "put": 2 * number, "read": 1, "move": 1}


def test_publish_enters_compact_by_two_doors() -> None:
    tree = ast.parse(Path(publish_module.__file__).read_text())
    (entered,) = [node for node in ast.walk(tree) if getattr(node, "module", "") == "log_assets.steps.compact"]
    assert isinstance(entered, ast.ImportFrom)
    functions = [name.name for name in entered.names if name.name[0].islower()]
    assert functions == ["compact_all", "make_whole"]
