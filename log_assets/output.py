"""Prints tables for people, and CSV and JSON for programs."""

from __future__ import annotations

import csv
import json
import sys
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from log_assets.records import ids
from log_assets.steps.audit import Status


def show(table: pa.Table, form: str) -> None:
    """Print a query's rows: `table`, `csv` (NULL is empty) or `json` (a list of objects)."""
    if form == "json":
        json.dump([_plain(row) for row in table.to_pylist()], sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.column_names)
        for row in table.to_pylist():
            writer.writerow(["" if value is None else _plain(value) for value in row.values()])
    else:
        _print_table(table.column_names, [list(row.values()) for row in table.to_pylist()])


def show_status(status: Status, form: str) -> None:
    columns = ["hour", "records", "bytes", "first_record_id", "last_record_id", "missing", "conflicts"]
    rows = [[getattr(hour, column) for column in columns] for hour in status.hours]
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return
    _print_table(columns, rows)
    console = Console(soft_wrap=True, highlight=False)
    records, size = sum(hour.records for hour in status.hours), sum(hour.bytes for hour in status.hours)
    console.print(f"{len(status.hours)} hours, {records:,} records, {size:,} bytes", markup=False)
    for hour, gaps in sorted(status.missing.items()):
        console.print(f"missing before {hour}: {ids.count(gaps)} records, ids {ids.write(gaps)}", markup=False)
    for reset in status.resets:
        console.print(f"the source's counter was reset in {reset.hour}: {reset.before} → {reset.after}", markup=False)
    for reason, number in sorted(status.rejects.items()):
        console.print(f"rejected: {number}, {reason} (kept; log-assets requeue reads them again)", markup=False)


def _print_table(columns: list[str], rows: list[list[Any]]) -> None:
    table = Table()
    for position, column in enumerate(columns):
        number = all(isinstance(row[position], int | float | Decimal) for row in rows if row[position] is not None)
        table.add_column(column, justify="right" if number and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else _text(value) for value in row))
    # Written to a file or a pipe, a table is as wide as it needs to be.
    Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False).print(table)


def _text(value: Any) -> str:
    return str(_plain(value)) if not isinstance(value, dict | list) else json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:  # noqa: PLR0911
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
