"""The table, as its DDL in `athena_sql/tables` says: the single truth of names, types and comments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import sqlglot
from sqlglot import exp

DIALECT = "athena"
TABLE = "compact_logs"
PARTITION_KEY = "hour"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table's DDL: its name, its type as sqlglot knows it, and its comment."""

    name: str
    kind: exp.DataType
    comment: str

    @property
    def hive_type(self) -> str:
        return self.kind.sql("hive").lower().replace(": ", ":").replace(", ", ",")


def table_ddl() -> str:
    return (files("athena_sql") / "tables" / f"{TABLE}.sql").read_text()


@cache
def columns() -> tuple[Column, ...]:
    """The table's columns in order, without the partition's."""
    tree = sqlglot.parse_one(table_ddl(), read=DIALECT)
    return tuple(
        Column(definition.name, definition.args["kind"], _comment(definition))
        for definition in tree.this.find_all(exp.ColumnDef)
        if definition.parent is tree.this
    )


@cache
def partition_column() -> Column:
    """The column that the table is partitioned by."""
    tree = sqlglot.parse_one(table_ddl(), read=DIALECT)
    (found,) = (one for one in tree.find_all(exp.ColumnDef) if one.find_ancestor(exp.PartitionedByProperty))
    return Column(found.name, found.args["kind"], _comment(found))


@cache
def table_comment() -> str:
    found = sqlglot.parse_one(table_ddl(), read=DIALECT).find(exp.SchemaCommentProperty)
    return found.this.name if found else ""


def _comment(definition: exp.ColumnDef) -> str:
    found = definition.find(exp.CommentColumnConstraint)
    return found.this.name if found else ""
