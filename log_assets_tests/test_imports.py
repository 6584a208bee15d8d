"""The house: imports point downwards only, and it is drawn as it is. The contracts stand in pyproject.toml."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import log_assets

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "log_assets"
MODULES = sorted(PACKAGE.rglob("*.py"))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def drawn() -> list[list[str]]:
    """The rooms on each floor of the drawing in the package's docstring, from the roof down."""
    rows = re.findall(r"^    (\S.*?)  +\S", str(log_assets.__doc__), re.MULTILINE)
    return [sorted(row.replace("/", "").split()) for row in rows]


def test_imports_point_downwards() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports"))]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_the_house_is_drawn_as_it_is() -> None:
    rooms = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert sorted(room for row in drawn() for room in row) == sorted(rooms - {"__init__"})


def test_the_contract_has_the_floors_of_the_drawing() -> None:
    (layers,) = [contract for contract in CONTRACTS if contract["type"] == "layers"]
    assert layers["exhaustive"] is True
    assert [sorted(layer.split(" | ")) for layer in layers["layers"]] == drawn()


def test_few_modules_stand_loose() -> None:
    assert len([path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]) <= 8


def test_every_package_says_what_belongs_in_it_and_what_does_not() -> None:
    for sign in PACKAGE.glob("*/__init__.py"):
        said = " ".join(str(ast.get_docstring(ast.parse(sign.read_text()))).split())
        assert "Here belongs" in said, sign
        assert "Not here" in said, sign


def test_a_module_of_more_than_300_lines_says_why() -> None:
    for path in MODULES:
        text = path.read_text()
        if text.count("\n") > 310:
            assert "One file, because" in text, path


def test_the_layout_alone_knows_a_keys_form() -> None:
    known = re.compile(r"_manifest-|logs\.json\.gz|/compact/|key\.r?split\(")
    for path in MODULES:
        if path != PACKAGE / "lake" / "layout.py":
            assert known.findall(path.read_text()) == [], path


def test_private_names_of_dagster_stand_in_one_module() -> None:
    """And in one of the tests'. Ruff says the same in an editor (TID251), for the four packages it is told of."""
    places = [PACKAGE / "defs" / "private.py", ROOT / "log_assets_tests" / "dagster_private.py", Path(__file__)]
    private = re.compile(r"\bdagster(?:_\w+)?\._\w+")
    for path in [*MODULES, *ROOT.glob("log_assets_tests/*.py"), *ROOT.glob("bench/*.py")]:
        if path not in places:
            assert private.findall(path.read_text()) == [], path


def test_no_test_file_imports_another() -> None:
    """What two of them need stands in a module of its own, so that each can be read, moved and run alone."""
    found = [
        f"{file.name}:{node.lineno} {name}"
        for file in sorted(Path(__file__).parent.glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _imported(node)
        if re.search(r"(^|\.)test_", name)
    ]
    assert found == []


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    start = f"{node.module or ''}." if isinstance(node, ast.ImportFrom) else ""
    return [start + alias.name for alias in node.names]
