"""What a query's rows look like for programs: NULL is kept apart from an empty text, and JSON is always JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from log_assets.commands.printing import show
from log_assets_tests.kit import H0, body, record
from log_assets_tests.shell import Shell

TABLE = pa.table(
    {
        "text": pa.array(["", None, 'a "b", c\n', "=1"]),
        "number": pa.array([0, None, -(2**63), 2**63 - 1], pa.int64()),
        "float": pa.array([0.0, None, math.nan, math.inf]),
        "big": pa.array([Decimal(10**30), None, Decimal(1), Decimal(0)], pa.decimal128(38, 0)),
        "moment": pa.array([datetime(2023, 3, 10, 1, 48, 11, 818000, UTC), None, None, None], pa.timestamp("ms")),
        "time": pa.array([time(1, 2, 3), None, None, None], pa.time64("us")),
        "day": pa.array([date(2023, 3, 10), None, None, None]),
        "flag": pa.array([True, None, False, False]),
        "bytes": pa.array([b"\x00\xff", None, b"", b"a"], pa.binary()),
        "list": pa.array([[1, None], None, [], [2]], pa.list_(pa.int64())),
        "struct": pa.array([{"a": "é", "b": None}, None, None, None], pa.struct({"a": pa.string(), "b": pa.int64()})),
    }
)


def test_csv_keeps_null_apart_from_an_empty_text(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show(TABLE, "csv")
    lines = capfdbinary.readouterr().out.decode().split("\n", 2)
    assert lines[0] == ",".join(f'"{name}"' for name in TABLE.column_names)
    assert lines[1] == (
        '"",0,0,1000000000000000000000000000000,2023-03-10 01:48:11.818,01:02:03.000000,2023-03-10,true,"00ff",'
        '"[1,null]","{""a"":""é"",""b"":null}"'
    )
    assert lines[2].split("\n")[0] == "," * (TABLE.num_columns - 1)


def test_json_is_json_whatever_the_values_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show(TABLE, "json")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    rows = json.loads(capfdbinary.readouterr().out, parse_constant=refuse)
    assert rows[0] == {
        "text": "",
        "number": 0,
        "float": 0.0,
        "big": 10**30,
        "moment": "2023-03-10 01:48:11.818",
        "time": "01:02:03",
        "day": "2023-03-10",
        "flag": True,
        "bytes": "00ff",
        "list": [1, None],
        "struct": {"a": "é", "b": None},
    }
    assert set(rows[1].values()) == {None}
    assert (rows[2]["float"], rows[3]["float"]) == (None, None)
    assert (rows[2]["number"], rows[3]["number"]) == (-(2**63), 2**63 - 1)


def test_a_table_shows_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show(pa.table({"a": ["[bold]x[/bold]"], "n": [1]}), "table")
    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_a_moment_with_a_zone_is_written_with_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show(pa.table({"at": pa.array([datetime(2023, 3, 10, 1, tzinfo=UTC)], pa.timestamp("ms", "UTC"))}), "json")
    assert json.loads(capfdbinary.readouterr().out) == [{"at": "2023-03-10 01:00:00.000+00:00"}]


HOSTILE = "\x1b]52;c;eA==\x07\x1b[31m\x9b2J\x00\x7f\u202eevil\u2066\u2028"


@pytest.mark.parametrize("form", ["table", "json"])
def test_what_a_terminal_would_act_on_is_escaped(capfdbinary: pytest.CaptureFixture[bytes], form: Any) -> None:
    show(pa.table({"te\x1b[1mxt": [HOSTILE], "list": [[HOSTILE]]}), form)
    said = capfdbinary.readouterr().out.decode()
    assert [one for one in said if one in HOSTILE and one not in "52;c;eA==[31m2Jevil]"] == []
    if form == "json":
        assert list(json.loads(said)[0].values()) == [HOSTILE, [HOSTILE]]


def test_csv_keeps_every_byte(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show(pa.table({"a": [HOSTILE]}), "csv")
    assert HOSTILE.encode() in capfdbinary.readouterr().out


def test_an_error_shows_what_came_from_outside_escaped(shell: Shell) -> None:
    shell.use_folder()
    shell.done("init")
    said = shell.failed("query", 'SELECT "nothing\x1b[31m" FROM logs')
    assert "\x1b" not in said
    assert "\\x1b[31m" in said


def test_restore_escapes_and_loses_nothing(shell: Shell) -> None:
    shell.use_folder()
    (shell.source / "a.json").write_bytes(body(shell.keyring, [record(1, activity=HOSTILE)], json.dumps))
    shell.done("poll", "--once")
    said = shell.done("restore", "--hour", H0)
    assert "\x1b" not in said
    assert "\x9b" not in said
    assert json.loads(said) == record(1, activity=HOSTILE)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"), (" =1", "' =1"),
        ("\r=1", "'\r=1"), ("\n=1", "'\n=1"), ("\uff1d1", "'\uff1d1"), ("a=1", "a=1"), ("", ""), ("'=1", "'=1"),
        ("1-1", "1-1"),
    ],
)  # fmt: skip
def test_csv_for_a_spreadsheet_holds_no_formula(
    text: str, written: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    table = pa.table({"a": [text, None], "n": [-1, 2], "list": [["=1"], None]})
    show(table, "csv", spreadsheet=True)
    rows = list(csv.reader(io.StringIO(capfdbinary.readouterr().out.decode(), newline="")))
    assert rows[1] == [written, "-1", '["=1"]']
    show(table, "csv")
    rows = list(csv.reader(io.StringIO(capfdbinary.readouterr().out.decode(), newline="")))
    assert rows[1][0] == text


@pytest.mark.parametrize("form", ["table", "json", "csv"])
@pytest.mark.parametrize(
    "value",
    [
        "TIME '01:02:03'",
        "CAST('infinity' AS timestamp)",
        "CAST('-infinity' AS timestamp)",
        "CAST('290000-01-01' AS timestamp)",
        "DATE '-0044-01-01'",
        "ARRAY[DATE '-0044-01-01']",
        "INTERVAL '1' DAY",
        "CAST('nan' AS double)",
        "ARRAY[CAST('inf' AS double), CAST('-inf' AS real)]",
        "MAP(ARRAY[TIME '01:02:03'], ARRAY[CAST('nan' AS double)])",
        "uuid()",
        "chr(0)",
    ],
)
def test_whatever_a_query_gives_is_printed(shell: Shell, form: str, value: str) -> None:
    shell.use_folder()
    shell.done("init")
    shown = shell.done("query", f"SELECT {value} AS a, NULL AS b", "--format", form)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    if form == "json":
        (row,) = json.loads(shown, parse_constant=refuse)
        assert set(row) == {"a", "b"}
