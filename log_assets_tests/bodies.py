"""One list of items, written in every way that sources and people write it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

Items = list[dict[str, Any]]

BOM = "\ufeff"


def _list(items: Items) -> str:
    return json.dumps(items)


def _lines(items: Items, end: str = "\n") -> str:
    return "".join(json.dumps(one) + end for one in items)


def _pretty(items: Items) -> str:
    return "\n".join(json.dumps(one, indent=2) for one in items)


def _texts(items: Items) -> Items:
    """With marks in a text at which `str.splitlines` cuts, and the text of an item."""
    return [one | {"note": '\u2028 \u0085 \x0b\x0c\x1c\x1d\x1e }, {"data": 1}]'} for one in items]


def _raw(items: Items) -> str:
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in items)


TEXTS: dict[str, Callable[[Items], str]] = {
    "a list": _list,
    "a pretty list": lambda items: json.dumps(items, indent=4),
    "a BOM": lambda items: BOM + _list(items),
    "a list under data": lambda items: json.dumps({"data": items}),
    "a list under Records": lambda items: json.dumps({"Records": items, "count": len(items)}, indent=1),
    "lines": _lines,
    "lines with CR": lambda items: _lines(items, "\r\n"),
    "lines with a BOM": lambda items: BOM + _lines(items),
    "lines with empty ones between": lambda items: _lines(items, "\n\n \t\n"),
    "lines with commas": lambda items: _lines(items, ",\n"),
    "lines of a JSON text sequence": lambda items: "".join(f"\x1e{json.dumps(one)}\n" for one in items),
    "a line with a list each": lambda items: "".join(json.dumps([one]) + "\n" for one in items),
    "a line with a list under Records each": lambda items: _lines([{"Records": [one]} for one in items]),
    "objects one after another": lambda items: _lines(items, ""),
    "pretty objects one after another": _pretty,
    "lists one after another": lambda items: _list(items[:1]) + _list(items[1:]),
    "files with a BOM one after another": lambda items: f"{BOM}{_list(items[:1])}\n{BOM}{_list(items[1:])}",
    "lines with line marks in texts": lambda items: _raw(_texts(items)),
    "lists with line marks in texts": lambda items: f"{json.dumps(_texts(items), ensure_ascii=False)}[]",
    "NaN beside": lambda items: json.dumps([one | {"score": float("nan"), "top": float("-inf")} for one in items]),
    "a number beyond Python's beside": lambda items: _list(items).replace('"data"', f'"n": {"9" * 5000}, "data"'),
}
"""Each holds the same items, whole; some with more fields beside `data`."""

PACKINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 LE without a BOM": lambda text: text.encode("utf-16-le"),
    "UTF-16 BE": lambda text: BOM.encode("utf-16-be") + text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip twice": lambda text: gzip.compress(gzip.compress(text.encode())),
    "gzip of several members": lambda text: b"".join(
        gzip.compress(text.encode()[start : start + 99]) for start in range(0, len(text.encode()), 99)
    ),
    "gzip with padding": lambda text: gzip.compress(text.encode()[:50]) + bytes(7) + gzip.compress(text.encode()[50:])
    + bytes(512),
    "gzip of UTF-16": lambda text: gzip.compress(text.encode("utf-16")),
}  # fmt: skip
