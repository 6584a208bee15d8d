"""Reads the view and the saved queries of `athena_sql/`, and what a query in Athena's dialect is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import sqlglot
from sqlglot import exp

from log_assets.catalog.table import DIALECT
from log_assets.errors import QueryError
from log_assets.query import VIEW

# The head of a saved query: a line that says what it is for, then a line a parameter, with its default.
_PARAMETER = re.compile(r"-- (\w+) = (.*?): (.*)")
_NAMED = re.compile(r"(?<![:\w]):([a-z_]+)")


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    default: str
    description: str


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A query of `athena_sql/queries`: its SQL holds ``:name`` where a parameter goes; `head` is the comment above."""

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    sql: str
    head: str = ""

    def with_defaults(self) -> str:
        """The whole text, each default in its parameter's place as an SQL literal: for where nothing can be bound."""
        literals = {parameter.name: exp.convert(parameter.default).sql(DIALECT) for parameter in self.parameters}
        return f"{self.head}\n{_NAMED.sub(lambda match: literals[match[1]], self.sql)}\n"

    def bind(self, given: Mapping[str, str]) -> tuple[str, list[str]]:
        """The SQL with a ``?`` for each parameter, and the values in that order; defaults where none is given.

        Raises:
            QueryError: a parameter is given that the query doesn't have.
        """
        values = {parameter.name: parameter.default for parameter in self.parameters}
        if unknown := sorted(set(given) - set(values)):
            raise QueryError(f"query {self.name} has no parameter {unknown[0]!r}; it has: {', '.join(values)}")
        values |= given
        bound: list[str] = []

        def mark(match: re.Match[str]) -> str:
            bound.append(values[match[1]])
            return "?"

        return _NAMED.sub(mark, self.sql), bound


def view_ddl() -> str:
    return (files("athena_sql") / "views" / f"{VIEW}.sql").read_text()


@cache
def saved_queries() -> dict[str, SavedQuery]:
    """Every saved query by name."""
    found = {}
    for file in sorted((files("athena_sql") / "queries").iterdir(), key=lambda file: file.name):
        name = file.name.removesuffix(".sql")
        head: list[str] = []
        body: list[str] = []
        for line in file.read_text().splitlines():
            (head if line.startswith("--") and not body else body).append(line)
        parameters = [Parameter(*match.groups()) for line in head if (match := _PARAMETER.fullmatch(line))]
        title = " ".join(line.removeprefix("-- ") for line in head if not _PARAMETER.fullmatch(line))
        found[name] = SavedQuery(name, title, tuple(parameters), "\n".join(body), "\n".join(head))
    return found


def check_query(sql: str) -> exp.Query:
    """The one query that `sql` is.

    Raises:
        QueryError: it does not parse, is more than one statement, or is no query.
    """
    try:
        trees = sqlglot.parse(sql, read=DIALECT)
    except sqlglot.errors.SqlglotError as error:
        problem = str(error).split("\n", 1)[0]
        raise QueryError(f"the query could not be read: {problem}") from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise QueryError("only one SELECT at a time is run here: the table belongs to the pipeline")
    return trees[0]
