"""Prints tables for people, and CSV and JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import click
import orjson

from log_assets.commands.printable import printable, printable_json
from log_assets.records import ids
from log_assets.steps.health import Health, ago

if TYPE_CHECKING:
    import pyarrow as pa

    from log_assets.steps.audit import Status

Format = Literal["table", "csv", "json"]

# What OWASP names: spreadsheets drop white space before it, and take a full-width sign for the plain one.
_FORMULA = r"\A[\s\x00-\x20]*[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]|\A[\t\r\n]"
# The sensor reads what waits every half a minute.
_LATE = timedelta(minutes=2)
_STATUS = ("hour", "records", "bytes", "first_record_id", "last_record_id", "missing", "conflicts")


def show(table: pa.Table, form: Format, *, spreadsheet: bool = False) -> None:
    """Print a query's rows: `table`, `csv` (NULL is nothing, an empty text is ``""``) or `json` (a list of objects).

    With `spreadsheet`, CSV is no longer lossless: a text that a spreadsheet takes for a formula gets a ``'`` before it.
    """
    if form == "csv":
        _write_csv(table, _FORMULA if spreadsheet else None)
    elif form == "json":
        _write_json([dict(zip(table.column_names, row, strict=True)) for row in _rows(table)])
    else:
        _print_table(table.column_names, _rows(table))


def _rows(table: pa.Table) -> list[list[Any]]:
    return [list(row) for row in zip(*map(_values, table.columns), strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    import pyarrow as pa

    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        # A day before the year 1 or behind 9999, which Python has not, and engines have.
        if isinstance(scalar, pa.ListScalar):
            return [_value(item) for item in scalar.values]
        if isinstance(scalar, pa.StructScalar):
            return {name: _value(item) for name, item in scalar.items()}
        return scalar.cast(pa.string()).as_py()


def show_status(status: Status, health: Health, now: datetime, form: Format) -> None:
    """Print every hour, how capture is doing, and what is missing, rejected and reset."""
    hours = [asdict(hour) for hour in status.hours]
    if form == "json":
        counts = {"missing_total": status.missing_total, "rejected": status.rejected, "waiting": status.waiting}
        told = {"not_fetched": [asdict(one) for one in status.not_fetched], "problems": status.problems}
        _write_json({"hours": hours, **counts, "capture": asdict(health), **told})
        return
    rows = [{name: hour[name] for name in _STATUS} for hour in hours]
    if form == "csv":
        import pyarrow as pa

        _write_csv(pa.table({name: [row[name] for row in rows] for name in _STATUS}))
        return
    _print_table(_STATUS, [list(row.values()) for row in rows])
    records, size = sum(hour.records for hour in status.hours), sum(hour.bytes for hour in status.hours)
    click.echo(f"{len(status.hours)} hours, {records:,} records, {size:,} bytes")
    for hour, gaps in sorted(status.missing.items()):
        cause = f" ({status.causes[hour]})" if hour in status.causes else ""
        click.echo(f"missing before {hour}: {ids.count(gaps)} records, ids {ids.write(gaps)}{cause}")
    for unfetched in status.not_fetched:
        click.echo(unfetched.said)
    for reset in status.resets:
        click.echo(f"the source's counter was reset in {reset.hour}: {reset.before} → {reset.after}")
    for reason, number in sorted(status.rejects.items()):
        click.echo(f"rejected: {number}, {reason} (kept; log-assets requeue reads them again)")
    click.echo(f"capture: {health.said(now)}")
    if status.waiting_since is not None:
        waited = now - status.waiting_since
        late = "; does log-assets up (or Dagster's daemon) run, with the right f_key?" if waited > _LATE else ""
        click.echo(f"waiting to be read: {status.waiting} windows, the oldest for {ago(waited)}{late}")
    for problem in status.problems:
        click.echo(problem)


def _write_csv(table: pa.Table, formula: str | None = None) -> None:
    import pyarrow as pa
    from pyarrow import compute, csv

    # CSV has no lists, structs or bytes, and Arrow writes none: they become text as JSON and hex are.
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type) or pa.types.is_interval(column.type):
            texts = [None if value is None else _text(value) for value in _values(column)]
            column = pa.chunked_array([pa.array(texts, pa.string())])
        if formula is not None and pa.types.is_string(column.type):
            column = compute.replace_substring_regex(column, formula, r"'\0")
        table = table.set_column(position, name, column)
    sys.stdout.flush()
    csv.write_csv(table, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _write_json(data: object) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(printable_json(orjson.dumps(_json_value(data), option=orjson.OPT_INDENT_2)) + b"\n")
    sys.stdout.buffer.flush()


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for position, column in enumerate(columns):
        number = all(isinstance(row[position], int | float | Decimal) for row in rows if row[position] is not None)
        table.add_column(printable(column), justify="right" if number and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else printable(_text(value)) for value in row))
    # Written to a file or a pipe, a table is as wide as it needs to be.
    Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False).print(table)


def _text(value: Any) -> str:
    plain = _plain(value)
    return orjson.dumps(_json_value(plain)).decode() if isinstance(plain, dict | list) else str(plain)


def _json_value(value: Any) -> Any:
    """What orjson writes as it is: an integer beyond 64 bits, which it refuses, is given as the digits it should be."""
    plain = _plain(value)
    if isinstance(plain, Mapping):
        return {key: _json_value(item) for key, item in plain.items()}
    if isinstance(plain, list | tuple):
        return [_json_value(item) for item in plain]
    if isinstance(plain, int) and not -(2**63) <= plain < 2**64:
        return orjson.Fragment(str(plain).encode())
    return plain


def _plain(value: Any) -> Any:  # noqa: PLR0911
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
