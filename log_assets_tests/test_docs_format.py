"""docs/format.md tells the truth: its keys are those that `layout` makes, its row is the code's and the DDL's."""

from __future__ import annotations

import ast
import dataclasses
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cryptography.fernet import Fernet

from log_assets.catalog.table import columns
from log_assets.lake import layout
from log_assets.records import envelope, lineset, row
from log_assets.records.payload import parse
from log_assets.records.reject import Reason
from log_assets.records.summary import Summary
from log_assets.steps.capture_log import CaptureLog
from log_assets.steps.receipts import Receipt
from log_assets_tests.kit import H0, Kit, real_records

PAGE = (Path(__file__).parent.parent / "docs" / "format.md").read_text()
L, DIGEST, GENERATION = H0.plus(6), "a" * 32, "b" * 32
WINDOW = layout.window_name(datetime(2023, 3, 10, 7, 0, 0, 1000, UTC), DIGEST)
STANDS_FOR = {
    "<L>": L,
    "<H>": H0,
    "<window>": WINDOW,
    "<digest>": DIGEST,
    "<generation>": GENERATION,
    "<version>": str(row.ROW_VERSION),
    "<capturer>": "host-1-x",
    "<random>": "x",
}
MADE = {
    "format": layout.FORMAT_KEY,
    "window": layout.raw_key(WINDOW),
    "rows": layout.rows_key(H0, WINDOW, row.ROW_VERSION, DIGEST),
    "rejects": layout.rejects_key(WINDOW, DIGEST),
    "receipt": layout.receipt_key(WINDOW, DIGEST),
    "lines": layout.lines_key(H0, GENERATION),
    "manifest": layout.manifest_key(H0, GENERATION, DIGEST),
    "capture log": layout.capture_key(L, "host-1-x"),
    "probe": f"{layout.PROBE}/x",
}


def rows(heading: str, number: int = 0) -> list[list[str]]:
    """The cells of a section's tables, without heads; `number` picks one table."""
    section = re.split(r"\n#+ ", PAGE.split(f"# {heading}\n")[1])[0]
    tables = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in tables[number].splitlines()[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_every_key_is_as_the_layout_makes_it() -> None:
    told = {}
    for what, key, *_ in rows("Keys", 1):
        told[what] = re.sub(r"<\w+>", lambda word: STANDS_FOR[word[0]], key.strip("`"))
    assert told == MADE


def test_every_word_in_a_key_is_explained_and_its_example_fits() -> None:
    explained = {word.strip("`"): example.strip("`") for word, _, example in rows("Keys")}
    assert set(explained) == set(STANDS_FOR) - {"<random>"}
    assert layout.landing_hour(explained["<window>"]) == explained["<L>"]
    assert layout.window_digest(explained["<window>"]) == explained["<digest>"]


def test_the_row_is_the_codes_and_the_ddls() -> None:
    told = [(key.strip("`"), kind.strip("`")) for key, kind, _ in rows("The row")]
    assert told == list(row.SCHEMA)
    assert [(key.lower(), kind) for key, kind in told] == [(column.name, column.hive_type) for column in columns()]
    assert f"a gzip member each {lineset.MEMBER_ROWS:,} lines" in PAGE


def test_receipt_manifest_and_capture_log_have_the_fields_that_are_told(kit: Kit) -> None:
    def told(heading: str) -> list[str]:
        return [name for cell, *_ in rows(heading) for name in names(cell)]

    assert sorted(told("Receipt")) == sorted(field.name for field in dataclasses.fields(Receipt))
    assert sorted(told("Capture log")) == sorted(field.name for field in dataclasses.fields(CaptureLog))
    kit.land(real_records())
    kit.publish(H0)
    (manifest,) = kit.manifests()
    assert sorted(told("Manifest")) == ["previous", "rows", "summary"]
    of_summary = names(rows("Manifest")[2][1])
    of_nothing = Summary.of(0, np.empty(0, np.int64), 0, 0, 1)
    assert sorted(of_summary) == sorted(manifest.summary.to_json()) == sorted(of_nothing.to_json())


def test_every_reason_for_a_reject_is_told() -> None:
    assert [cell.strip("`") for cell, _ in rows("Receipt", 1)] == list(map(str, Reason))


def test_the_sources_answer_is_read_as_told() -> None:
    """The page's own record, encrypted, in the page's own envelope."""
    (text,) = re.findall(r"```text\n(\{'user_id.*?)```", PAGE, re.DOTALL)
    record = ast.literal_eval(text)
    assert record == real_records()[0]
    fernet = Fernet(Fernet.generate_key())
    (body, *_) = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    body = body.replace("gAAAAABkCo…", fernet.encrypt(repr(record).encode()).decode())
    items = envelope.read(body.encode()).items
    assert envelope.identities(items) == {record["record_id"]}
    (token,) = envelope.tokens(items)
    assert parse([fernet.decrypt(str(token))]) == [record]


def test_the_format_number_is_told() -> None:
    assert f"This is format {layout.FORMAT}" in PAGE
