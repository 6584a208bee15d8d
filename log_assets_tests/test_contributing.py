"""What a contributor is told is true: make's help, CONTRIBUTING.md, the hooks, the reference of options."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from log_assets_tests import conftest, options

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
TARGETS = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)


def test_make_alone_tells_of_every_target_the_two_main_ones_first(tmp_path: Path) -> None:
    """Nothing is installed for it: it runs in a folder with the Makefile alone."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(["make"], cwd=tmp_path, check=True, capture_output=True, text=True)
    told = re.findall(r"^  make ([a-z-]+) +(\S.*)$", done.stdout, re.MULTILINE)
    assert [name for name, _ in told[:2]] == ["demo", "test"]
    assert all("minute" in text for _, text in told[:2])
    assert sorted(name for name, _ in told) == sorted(set(TARGETS) - {"help"})
    assert [file.name for file in tmp_path.iterdir()] == ["Makefile"]


def test_no_target_is_mistaken_for_a_file() -> None:
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert sorted(phony[1].replace("\\", " ").split()) == sorted(TARGETS)


def test_what_contributing_names_is_there() -> None:
    assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", CONTRIBUTING, re.MULTILINE)) <= set(TARGETS)
    tiers = {name for name in TARGETS if name.startswith("test")} | {"lint"}
    assert set(re.findall(r"^\| `make ([a-z-]+)`", CONTRIBUTING, re.MULTILINE)) == tiers
    for name in re.findall(r"\]\(([^)#:]+)\)", CONTRIBUTING):
        assert (ROOT / name).exists(), name
    fixtures = re.findall(r"^\| `([a-z]+)` \|", CONTRIBUTING, re.MULTILINE)
    assert len(fixtures) >= 5
    assert [name for name in fixtures if not hasattr(conftest, name)] == []


def test_hooks_are_local_and_are_what_make_lint_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    recipe = MAKEFILE.split("\nlint:")[1].split("\n\n")[0].replace("$(BIN)", ".venv/bin").split("\n\t")[1:]
    # cfn-lint judges one file, and is no hook.
    assert [hook["entry"] for hook in hooks] == [line for line in recipe if "cfn-lint" not in line]


def test_the_page_of_options_is_what_the_commands_say() -> None:
    # In a process of its own: a command remembers its help from whoever asked first, by another parent's options.
    made = subprocess.run(
        [sys.executable, "-m", "log_assets_tests.options"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert options.PAGE.read_text() == made, "run make reference"
