"""The differential fuzzer with a fixed seed; `make fuzz` runs it at length."""

import re

import pytest

from log_assets.records import literal, payload, row, token
from log_assets_tests import fuzz

CASES = 5000
PARTS = 4


def run(numbers: range) -> None:
    for number in numbers:
        fuzz.run(1, number)


@pytest.mark.parametrize("part", range(PARTS))
def test_the_product_reads_what_slower_readers_read(part: int) -> None:
    run(range(part * CASES // PARTS, (part + 1) * CASES // PARTS))


@pytest.mark.parametrize("broken", ["token", "literal", "row", "time", "payload"])
def test_the_fuzzer_finds_what_is_broken_on_purpose(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were it blind, it would pass whatever the product did."""
    match broken:
        case "token":
            monkeypatch.setattr(token, "_verified", lambda key, tokens, positions: list(positions))
        case "literal":
            monkeypatch.setitem(literal._ESCAPES, "a", "\b")
        case "row":
            monkeypatch.setattr(row, "_MAX_ID", 2**63)
        case "time":
            monkeypatch.setattr(row, "_UNIX", row._UNIX.replace(minute=30))
        case "payload":
            monkeypatch.setattr(payload, "_LONG_NUMBER", re.compile(rb"\d{99}"))
    with pytest.raises(fuzz.Failed):
        run(range(CASES))
