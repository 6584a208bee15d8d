"""Arrow types of what Trino, and Athena with it, name in a result."""

from __future__ import annotations

import re

import pyarrow as pa

_PLAIN = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
}
_NAMED = re.compile(r"(\w+)(?:\((\d+)(?:, *(\d+))?\))?")
_MAX_MILLISECONDS = 3


def arrow_type(name: str) -> pa.DataType:
    """The type of a column that the engine calls `name`, such as ``bigint``, ``decimal(10,2)`` or ``timestamp(3)``.

    Whatever has no plain counterpart (rows, maps, times with a zone) is text.
    """
    match = _NAMED.fullmatch(name.strip().lower())
    if match is None:
        return pa.string()
    base, first, second = match.groups()
    if base == "decimal" and first:
        return pa.decimal128(int(first), int(second or 0))
    if base == "timestamp":
        return pa.timestamp("ms" if int(first or 3) <= _MAX_MILLISECONDS else "us")
    return _PLAIN.get(base, pa.string())
