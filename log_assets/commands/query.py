"""`log-assets query`: a SELECT or a saved query by its name, on the engine that is set."""

from __future__ import annotations

from collections.abc import Sequence

import click

from log_assets.commands import printing
from log_assets.ports import Ports
from log_assets.query.sql import saved_queries


def list_queries() -> None:
    """Print the saved queries and their parameters."""
    for one in saved_queries().values():
        click.echo(f"{one.name}: {one.title}")
        for parameter in one.parameters:
            click.echo(f"    -p {parameter.name}={parameter.default}  {parameter.description}")


def query(ports: Ports, sql: str, given: Sequence[str], form: printing.Format, *, spreadsheet: bool = False) -> None:
    """Run and print one query.

    Args:
        ports: as the settings name them.
        sql: a SELECT, or a saved query's name.
        given: parameters of a saved query, each ``NAME=VALUE``.
        form: how rows are printed.
        spreadsheet: whether texts in CSV are kept from being formulas.

    Raises:
        click.UsageError: a parameter is malformed or goes with no saved query, or there is no query of that name.
        QueryError: the engine refused or failed it.
    """
    pairs = [pair.partition("=") for pair in given]
    if malformed := [name for name, mark, _ in pairs if not mark]:
        raise click.UsageError(f"-p {malformed[0]}: write a parameter as NAME=VALUE")
    values = {name: value for name, _, value in pairs}
    saved = saved_queries()
    parameters: Sequence[str] = []
    if sql in saved:
        sql, parameters = saved[sql].bind(values)
    elif values:
        raise click.UsageError("parameters go with a saved query; in your own SQL write the value itself")
    elif " " not in sql.strip():
        raise click.UsageError(f"there is no saved query {sql!r} (--list shows them)")
    result = ports.query().run(sql, parameters)
    printing.show(result.table, form, spreadsheet=spreadsheet)
    click.echo(f"{result.table.num_rows} rows, {result.bytes_scanned:,} bytes scanned", err=True)
