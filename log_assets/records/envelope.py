"""A window's body → its items: the list that a source answers with, each item a dict with a token under `data`.

The format is the source's own (docs/format.md): a JSON list of ``{"recordId": int, "ArrivalTimeStamp": float, "data":
token}``. What everybody else reads is read too: one such dict, dicts one after another with anything or nothing between
them (JSON a line, pretty-printed, several lists in one file), a list under ``data`` or ``Records``, gzip and UTF-16
(`records.body`), NaN beside the token. A body that breaks off gives its whole items.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from log_assets.records import body as bodies
from log_assets.records import lines
from log_assets.records.reject import Reason, Reject

MAX_ITEMS = 200_000
"""Items of one body. 64 KB of gzip unpack to millions of them, which take gigabytes as objects."""

_QUICK_BODY = 8 << 20
# Of a body of so many items as the source sends them, four each: a number of marks beyond which there must be more.
_MOST_MARKS = 10 * MAX_ITEMS
# Around a list, not an item: what services that collect records put it in.
_WRAPPERS = ("data", "Records")
_BETWEEN = re.compile(r"[ \t\r\n,\x1e\ufeff]*")
# Where reading can begin again behind an item that is broken.
_NEXT_ITEM = re.compile(r"\n|(?<=\})[ \t\r,]*(?=\{)")
_MAX_DIGITS = 4300
_NO_OBJECT = "no JSON object"

Unread = tuple[Reject, Any]
"""What could not be read, and why."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The items of a body, in order, whatever JSON they are, and what of the body could not be read as one."""

    items: list[Any] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


def read(body: bytes) -> Envelope:
    """The envelope of one body. Never raises: what cannot be read is in `unread`, unchanged."""
    try:
        opened = bodies.unpacked(body)
    except lines.TooLarge as error:
        return Envelope([], [(Reject(Reason.TOO_LARGE, str(error)), _shown(body))])
    found = _read(opened.content)
    if opened.fault:
        found.unread.append(_unread(body, opened.fault))
    return found


def _read(content: bytes) -> Envelope:
    if len(content) > _MOST_MARKS and content.count(b",") + content.count(b"{") + content.count(b"[") > _MOST_MARKS:
        return Envelope([], [_too_many(content)])
    try:
        # orjson takes twelve times the body in memory for a moment.
        data = orjson.loads(content) if len(content) <= _QUICK_BODY else json.loads(content)
    except (ValueError, RecursionError):
        found = _one_by_one(bodies.text_of(content), content)
    else:
        found = Envelope()
        if (isinstance(data, dict) and not data.keys() & set(_WRAPPERS)) or not _add(found.items, data):
            found.unread.append(_unread(content, f"a JSON {type(data).__name__}, and no list of items"))
    return found if len(found.items) + len(found.unread) <= MAX_ITEMS else Envelope([], [_too_many(content)])


def is_empty(body: bytes) -> bool:
    """Whether a body holds nothing: no text at all, or an empty list."""
    text = body.removeprefix(codecs.BOM_UTF8).strip()
    return not text or text.split() in ([b"[]"], [b"[", b"]"])


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


def _add(items: list[Any], value: Any) -> bool:
    """Take one JSON value: an item, a list of them, or such a list in a wrapper. False: it is none of these."""
    if isinstance(value, dict):
        wrapped = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), list)), None)
        items.extend([value] if wrapped is None else wrapped)
    elif isinstance(value, list):
        items.extend(value)
    return isinstance(value, dict | list)


def _one_by_one(text: str, body: bytes) -> Envelope:
    """One value after another; behind what is broken, on with the next item or line."""
    found = Envelope()
    decoder = json.JSONDecoder(parse_int=_integer)
    position, in_list = 0, False
    # A failure costs as far as the parser came: in all, not much more than reading the text a few times.
    patience = 2 * len(text)
    while patience >= 0 and len(found.items) + len(found.unread) <= MAX_ITEMS:
        position = _end(_BETWEEN, text, position)
        if position == len(text):
            break
        if in_list and text[position] == "]":
            position, in_list = position + 1, False
            continue
        start = position
        try:
            value, position = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            patience -= (error.pos if isinstance(error, json.JSONDecodeError) else len(text)) - start
            if text[start] == "[" and not in_list:
                position, in_list = start + 1, True
                continue
            match = _NEXT_ITEM.search(text, start + 1)
            position = match.end() if match else len(text)
            broken = "the list breaks off" if in_list and not match else _NO_OBJECT
            found.unread.append(_unread(bodies.bytes_of(text[start:position].strip()), broken))
        else:
            if not _add(found.items, value):
                found.unread.append(_unread(bodies.bytes_of(text[start:position]), _NO_OBJECT))
    else:
        _line_by_line(text[position:], found)
    if not found.items and found.unread:
        return Envelope([], [_unread(body, _what_it_is(body))])
    return found


def _line_by_line(text: str, found: Envelope) -> None:
    for line in text.split("\n"):
        content = bodies.bytes_of(line.strip(" \t\r,"))
        if len(found.items) + len(found.unread) > MAX_ITEMS:
            return
        try:
            known = not content or _add(found.items, orjson.loads(content))
        except orjson.JSONDecodeError:
            known = False
        if not known:
            found.unread.append(_unread(content, _NO_OBJECT))


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _integer(digits: str) -> int | str:
    """Python refuses to read longer ones, and the item with them; the envelope has no use for such a number."""
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


def _what_it_is(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "neither JSON nor gzip: " + (
            "zstd" if body.startswith(b"\x28\xb5\x2f\xfd") else "not UTF-8, perhaps packed in another way"
        )
    return "neither JSON nor JSON a line"


def _too_many(body: bytes) -> Unread:
    return Reject(Reason.TOO_LARGE, f"more than {MAX_ITEMS:,} items"), _shown(body)


def _unread(content: bytes, detail: str) -> Unread:
    return Reject(Reason.NOT_A_LIST, detail), _shown(content)


def _shown(content: bytes) -> str:
    return content.decode(errors="backslashreplace")
