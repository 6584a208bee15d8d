"""Query: SQL of `athena_sql/`, in Athena's dialect, on the engine that is set.

Here belongs how an engine is asked and answers. Not here: the SQL itself (`athena_sql/`), or what is published
(catalog).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


VIEW = "logs"
"""What people query: the decoded columns."""


@dataclass(frozen=True, slots=True)
class Result:
    """A query's rows, and how many bytes of the lake were read for them."""

    table: pa.Table
    bytes_scanned: int


class QueryEngine(Protocol):
    """Runs one SELECT a call. Every method raises `QueryError`."""

    @property
    def url(self) -> str: ...

    def ensure(self) -> None:
        """Make the view when the engine keeps views; safe to call again."""
        ...

    def run(self, sql: str, parameters: Sequence[str | int | float | None] = ()) -> Result:
        """Run a query; each ``?`` stands for one of `parameters`, which are bound and never pasted."""
        ...
