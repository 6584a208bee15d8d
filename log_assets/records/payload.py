"""A token's plaintext → the record: JSON, or the Python repr of a dict, which is what the real source sends; or such a
text as a JSON string, once more or twice.

It comes from outside, so it is never evaluated. A repr is read by swapping its quotes and parsing JSON where that can't
change its meaning, and by `literal` where it could.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import orjson

from log_assets.records import literal
from log_assets.records.literal import MAX_DEPTH, Unreadable
from log_assets.records.reject import Reason, Reject
from log_assets.records.token import MAX_PLAINTEXT

Record = dict[str, Any]

# orjson makes floats of integers beyond 64 bits.
_LONG_NUMBER = re.compile(rb"\d{19}")
# In a text with none of these, a quote only ever opens or closes a string, and every other word is the same in JSON.
_UNSAFE_TO_SWAP = (b'"', b"\\", b"True", b"False", b"None", b"true", b"false", b"null")
# A text of a text of the record.
_TEXTS = 3
_SWAP = bytes.maketrans(b"'", b'"')


def parse(plaintexts: Sequence[bytes | Reject]) -> list[Record | Reject]:
    """The record of each plaintext, or why there is none; same length and order, rejects pass through.

    Numbers keep value and kind; of duplicate keys the last wins.
    """
    return [text if isinstance(text, Reject) else _parse(text) for text in plaintexts]


def _parse(text: bytes) -> Record | Reject:
    if len(text) > MAX_PLAINTEXT:
        return Reject(Reason.TOO_LARGE, f"more than {MAX_PLAINTEXT} bytes")
    try:
        record = _fast(text)
        if record is None:
            # Its brackets may be escaped, where it is a text in a text.
            record = _exact(text)
            _check_depth(record)
        elif text.count(b"[") + text.count(b"{") > MAX_DEPTH:
            _check_depth(record)
    except Unreadable as error:
        return error.reject
    return record


def _fast(text: bytes) -> Record | None:
    """By orjson, where that is exact; None where it isn't, or the text is no JSON, its quotes swapped or not."""
    if _LONG_NUMBER.search(text):
        return None
    if text.startswith(b"{'"):
        # No JSON begins so.
        if any(word in text for word in _UNSAFE_TO_SWAP):
            return None
        text = text.translate(_SWAP)
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _exact(text: bytes) -> Record:
    try:
        found: Any = text.decode()
    except UnicodeDecodeError:
        raise Unreadable(Reason.NOT_A_DICT, "not UTF-8") from None
    for _ in range(_TEXTS):
        found = _value(found)
        if not isinstance(found, str):
            break
    if not isinstance(found, dict):
        raise Unreadable(Reason.NOT_A_DICT, f"a {type(found).__name__}")
    return found


def _value(decoded: str) -> Any:
    try:
        found = json.loads(
            decoded, parse_constant=_no_constant, parse_int=literal.integer, parse_float=literal.floating
        )
        _check_text(decoded, found)
    except RecursionError:
        raise Unreadable(Reason.TOO_LARGE, f"nested more than {MAX_DEPTH} deep") from None
    except ValueError:
        found = literal.read(decoded)
    return found


def _check_text(text: str, found: Any) -> None:
    """JSON may spell half a surrogate pair; no file in UTF-8 can hold one."""
    if "\\u" in text:
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Unreadable(Reason.NOT_JSON_VALUE, "half a surrogate pair") from None


def _check_depth(record: Record) -> None:
    level: list[Any] = [record]
    for _ in range(MAX_DEPTH):
        level = [item for value in level for item in _items(value)]
        if not level:
            return
    raise Unreadable(Reason.TOO_LARGE, f"nested more than {MAX_DEPTH} deep")


def _items(value: Any) -> Iterator[Any]:
    """What is nested in a dict or list, as far as it is one itself."""
    inner = value.values() if isinstance(value, dict) else value
    return (item for item in inner if isinstance(item, dict | list))


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(Reason.NOT_JSON_VALUE, name)
