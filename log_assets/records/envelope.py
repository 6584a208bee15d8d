"""A window's body → its items: the list that a source answers with, each item a dict with a token under `data`.

The format is the source's own (docs/format.md): a JSON list of ``{"recordId": int, "ArrivalTimeStamp": float, "data":
token}``. JSON a line (NDJSON) and a single such dict are read as well. A body that breaks off gives its whole items.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from log_assets.records.reject import Reason, Reject

MAX_BODY = 64 << 20
"""Bytes of one body, decompressed; a source that answers with more is cut off, a window with more is damaged."""

MAX_ITEMS = 200_000
"""Items of one body. 64 KB of gzip unpack to millions of them, which take gigabytes as objects."""

_QUICK_BODY = 8 << 20
# Of a body of so many items as the source sends them, four each: a number of marks beyond which there must be more.
_MOST_MARKS = 10 * MAX_ITEMS

Unread = tuple[Reject, Any]
"""What could not be read, and why."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The items of a body, in order, whatever JSON they are, and what of the body could not be read as one."""

    items: list[Any]
    unread: list[Unread]


def read(body: bytes) -> Envelope:
    """The envelope of one body. Never raises: what cannot be read is in `unread`, unchanged."""
    if len(body) > _MOST_MARKS and body.count(b",") + body.count(b"{") + body.count(b"[") > _MOST_MARKS:
        return Envelope([], [_too_many(body)])
    try:
        # orjson takes twelve times the body in memory for a moment.
        data = orjson.loads(body) if len(body) <= _QUICK_BODY else json.loads(body)
    except (ValueError, RecursionError):
        return _one_by_one(body)
    if isinstance(data, list):
        return Envelope(data, []) if len(data) <= MAX_ITEMS else Envelope([], [_too_many(body)])
    if isinstance(data, dict) and "data" in data:
        return Envelope([data], [])
    return Envelope([], [_unread(body, f"a JSON {type(data).__name__}")])


def is_empty(body: bytes) -> bool:
    """Whether a body holds nothing: no text at all, or an empty list."""
    return not body.strip() or body.split() in ([b"[]"], [b"[", b"]"])


def tokens(items: Sequence[Any]) -> list[object]:
    """What stands under `data` of each item; None where there is nothing; same length and order."""
    try:
        return [item["data"] for item in items]
    except (TypeError, KeyError, IndexError):
        return [item.get("data") if isinstance(item, dict) else None for item in items]


def identities(items: Sequence[Any]) -> set[int | str]:
    """What identifies each item without a key: its `recordId`, or else its token; items with neither are left out."""
    found: set[int | str] = set()
    for item in items:
        if isinstance(item, dict):
            number, token = item.get("recordId"), item.get("data")
            if isinstance(number, int) and not isinstance(number, bool):
                found.add(number)
            elif isinstance(token, str):
                found.add(token)
    return found


def _one_by_one(body: bytes) -> Envelope:
    items: list[Any] = []
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return Envelope([], [_unread(body, "not UTF-8")])
    if text.lstrip().startswith("["):
        rest = _items_of_half_a_list(text.lstrip()[1:], items)
        return Envelope(items, [_unread(rest.encode(), "the list breaks off")])
    unread = []
    for line in text.splitlines():
        try:
            item = orjson.loads(line) if line.strip() else None
        except orjson.JSONDecodeError:
            item = line
        if isinstance(item, dict):
            items.append(item)
        elif item is not None:
            unread.append(_unread(line.encode(), "a line that is no JSON object"))
    if not items:
        unread = [_unread(body, "neither JSON nor JSON a line")] if text.strip() else []
    return Envelope(items, unread)


def _items_of_half_a_list(text: str, items: list[Any]) -> str:
    """Take the whole items of a list that breaks off, and give back the rest."""
    decoder = json.JSONDecoder()
    position = 0
    while True:
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        try:
            item, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return text[position:]
        items.append(item)


def _too_many(body: bytes) -> Unread:
    return Reject(Reason.TOO_LARGE, f"more than {MAX_ITEMS:,} items"), body.decode(errors="backslashreplace")


def _unread(content: bytes, detail: str) -> Unread:
    return Reject(Reason.NOT_A_LIST, detail), content.decode(errors="backslashreplace")
