"""A token's plaintext → the record: JSON, or the Python repr of a dict, which is what the real source sends.

It comes from outside, so it is never evaluated, and costs bounded time and memory: `ast.literal_eval` takes half a
gigabyte for a hostile megabyte. A repr is read by swapping its quotes and parsing JSON where that can't change its
meaning, and by an exact scanner where it could.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import orjson

from log_assets.records.reject import Reason, Reject

MAX_PLAINTEXT = 1 << 20
MAX_DEPTH = 64
MAX_DIGITS = 4300

Record = dict[str, Any]

# orjson makes floats of integers beyond 64 bits.
_LONG_NUMBER = re.compile(rb"\d{19}")
# In a text with none of these, a quote only ever opens or closes a string, and every other word is the same in JSON.
_UNSAFE_TO_SWAP = (b'"', b"\\", b"True", b"False", b"None", b"true", b"false", b"null")
_SWAP = bytes.maketrans(b"'", b'"')

_TOKEN = re.compile(
    r"""[ \t\r\n\f]*(?:
        (?P<string>[A-Za-z]{0,2}(?:'(?:[^'\\\n]++|\\.)*+'|"(?:[^"\\\n]++|\\.)*+"))
      | (?P<number>(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
          |(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)[jJ]?)
      | (?P<name>[^\W\d]\w*)
      | (?P<mark>[{}\[\]():,+-])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(\n|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPES = {"\n": "", "\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPES["v"] = "\v"
_CONSTANTS = {"True": True, "False": False, "None": None}


class _Unreadable(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reject = Reject(reason, detail)


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
            record = _exact(text)
        if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
            _check_depth(record)
    except _Unreadable as error:
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
        decoded = text.decode()
    except UnicodeDecodeError:
        raise _Unreadable(Reason.NOT_A_DICT, "not UTF-8") from None
    try:
        found = json.loads(decoded, parse_constant=_no_constant, parse_int=_int, parse_float=_float)
        _check_text(decoded, found)
    except RecursionError:
        raise _Unreadable(Reason.TOO_LARGE, f"nested more than {MAX_DEPTH} deep") from None
    except ValueError:
        found = _Scanner(decoded).read()
    if not isinstance(found, dict):
        raise _Unreadable(Reason.NOT_A_DICT, f"a {type(found).__name__}")
    return found


def _check_text(text: str, found: Any) -> None:
    """JSON may spell half a surrogate pair; no file in UTF-8 can hold one."""
    if "\\u" in text:
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _Unreadable(Reason.NOT_JSON_VALUE, "half a surrogate pair") from None


def _check_depth(record: Record) -> None:
    level: list[Any] = [record]
    for _ in range(MAX_DEPTH):
        level = [item for value in level for item in _items(value)]
        if not level:
            return
    raise _Unreadable(Reason.TOO_LARGE, f"nested more than {MAX_DEPTH} deep")


def _items(value: Any) -> Iterator[Any]:
    """What is nested in a dict or list, as far as it is one itself."""
    inner = value.values() if isinstance(value, dict) else value
    return (item for item in inner if isinstance(item, dict | list))


def _no_constant(name: str) -> NoReturn:
    raise _Unreadable(Reason.NOT_JSON_VALUE, name)


def _int(text: str) -> int:
    digits = text.lstrip("+-").replace("_", "")
    if len(digits) > MAX_DIGITS:
        raise _Unreadable(Reason.TOO_LARGE, f"an integer of more than {MAX_DIGITS} digits")
    try:
        number = int(text, 0)
    except ValueError:
        raise _Unreadable(Reason.NOT_A_DICT, "a number that is none") from None
    # Hexadecimal may say more in fewer digits.
    if number.bit_length() > 3.33 * MAX_DIGITS and abs(number) >= 10**MAX_DIGITS:
        raise _Unreadable(Reason.TOO_LARGE, f"an integer of more than {MAX_DIGITS} digits")
    return number


def _float(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _Unreadable(Reason.NOT_A_DICT, "a number that is none") from None
    if math.isinf(number):
        raise _Unreadable(Reason.NOT_JSON_VALUE, "infinity")
    return number


class _Scanner:
    """Reads one Python literal, as far as JSON can hold it: what it accepts, `ast.literal_eval` reads the same."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._kind: str | None = None
        self._word = ""
        self._next()

    def read(self) -> Any:
        value = self._value(0)
        if self._kind != "end":
            raise _Unreadable(Reason.NOT_A_DICT, "text behind the literal")
        return value

    def _next(self) -> None:
        match = _TOKEN.match(self._text, self._end)
        if match is None:
            raise _Unreadable(Reason.NOT_A_DICT, "no literal")
        self._kind, self._end = match.lastgroup, match.end()
        self._word = match[match.lastgroup or 0]

    def _value(self, depth: int) -> Any:
        kind, text = self._kind, self._word
        if depth > MAX_DEPTH:
            raise _Unreadable(Reason.TOO_LARGE, f"nested more than {MAX_DEPTH} deep")
        if kind == "string":
            return self._string()
        if kind == "number" or text in ("+", "-"):
            return self._number()
        if kind == "name":
            return self._name()
        self._next()
        if kind == "mark" and text == "{":
            return self._dict(depth)
        if kind == "mark" and text == "[":
            return self._list(depth)
        if text == "(":
            raise _Unreadable(Reason.NOT_JSON_VALUE, "a tuple")
        raise _Unreadable(Reason.NOT_A_DICT, "no literal")

    def _dict(self, depth: int) -> Record:
        found: Record = {}
        while self._word != "}" or self._kind != "mark":
            key = self._value(depth + 1)
            if self._kind == "mark" and self._word in (",", "}"):
                raise _Unreadable(Reason.NOT_JSON_VALUE, "a set")
            self._expect(":")
            if not isinstance(key, str):
                raise _Unreadable(Reason.NOT_JSON_VALUE, "a key that is no string")
            found[key] = self._value(depth + 1)
            if not self._comma("}"):
                break
        self._expect("}")
        return found

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while self._word != "]" or self._kind != "mark":
            found.append(self._value(depth + 1))
            if not self._comma("]"):
                break
        self._expect("]")
        return found

    def _comma(self, closing: str) -> bool:
        if self._kind == "mark" and self._word == ",":
            self._next()
            return True
        return False

    def _expect(self, mark: str) -> None:
        if self._kind != "mark" or self._word != mark:
            raise _Unreadable(Reason.NOT_A_DICT, f"no {mark} where one should be")
        self._next()

    def _string(self) -> str:
        parts = []
        while self._kind == "string":
            quote = self._word.find("'") if self._word[-1] == "'" else self._word.find('"')
            prefix = self._word[:quote].lower()
            if "b" in prefix:
                raise _Unreadable(Reason.NOT_JSON_VALUE, "bytes")
            if prefix not in ("", "u"):
                raise _Unreadable(Reason.NOT_A_DICT, f"a string with prefix {prefix}")
            parts.append(_ESCAPE.sub(_unescape, self._word[quote + 1 : -1]))
            self._next()
        text = "".join(parts)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Unreadable(Reason.NOT_JSON_VALUE, "half a surrogate pair") from None
        return text

    def _number(self) -> int | float:
        sign = ""
        if self._kind == "mark":
            sign = self._word
            self._next()
        if self._kind != "number":
            if self._kind == "name" and self._word in ("nan", "inf"):
                raise _Unreadable(Reason.NOT_JSON_VALUE, self._word)
            raise _Unreadable(Reason.NOT_A_DICT, "a sign without a number")
        text = self._word
        self._next()
        if text[-1] in "jJ" or (self._kind == "mark" and self._word in ("+", "-")):
            raise _Unreadable(Reason.NOT_JSON_VALUE, "a complex number")
        if text[:2].lower() in ("0x", "0o", "0b") or text.replace("_", "").isdigit():
            return -_int(text) if sign == "-" else _int(text)
        return -_float(text) if sign == "-" else _float(text)

    def _name(self) -> bool | None:
        name = self._word
        self._next()
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in ("nan", "inf"):
            raise _Unreadable(Reason.NOT_JSON_VALUE, name)
        raise _Unreadable(Reason.NOT_A_DICT, "a name")


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if code in _ESCAPES:
        return _ESCAPES[code]
    if code[0] in "01234567":
        return chr(int(code, 8))
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        if number <= 0x10FFFF:
            return chr(number)
    if code in ("x", "u", "U", "N"):
        raise _Unreadable(Reason.NOT_A_DICT, "an escape that is none")
    if len(code) > 1:
        raise _Unreadable(Reason.NOT_A_DICT, "an escape beyond unicode")
    # Python keeps the backslash of an escape that it doesn't know.
    return match[0]
