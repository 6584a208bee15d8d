"""A Python literal, as far as JSON can hold it: the exact reader behind `payload`, for text from outside.

It is never evaluated, and costs bounded time and memory: `ast.literal_eval` takes half a gigabyte for a hostile
megabyte. What is accepted, `ast.literal_eval` reads the same, or refuses for a bare NUL or CR within a string, which
can only mean itself; the tests hold that.
"""

from __future__ import annotations

import math
import re
from typing import Any

from log_assets.records.reject import Reason, Reject

MAX_DEPTH = 64
MAX_DIGITS = 4300

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


class Unreadable(Exception):
    """A text that is no value JSON can hold; `reject` says why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reject = Reject(reason, detail)


def read(text: str) -> Any:
    """The value of one literal, of which dicts, lists, strings, numbers, True, False and None are read.

    Raises:
        Unreadable: it is none, has text behind it, is beyond the limits, or holds what JSON cannot.
    """
    return _Scanner(text).read()


def integer(text: str) -> int:
    """Raises `Unreadable` when it is none, or has more than `MAX_DIGITS` decimal digits."""
    digits = text.lstrip("+-").replace("_", "")
    if len(digits) > MAX_DIGITS:
        raise Unreadable(Reason.TOO_LARGE, f"an integer of more than {MAX_DIGITS} digits")
    try:
        number = int(text, 0)
    except ValueError:
        raise Unreadable(Reason.NOT_A_DICT, "a number that is none") from None
    # Hexadecimal may say more in fewer digits.
    if number.bit_length() > 3.33 * MAX_DIGITS and abs(number) >= 10**MAX_DIGITS:
        raise Unreadable(Reason.TOO_LARGE, f"an integer of more than {MAX_DIGITS} digits")
    return number


def floating(text: str) -> float:
    """Raises `Unreadable` when it is none, or infinite."""
    try:
        number = float(text)
    except ValueError:
        raise Unreadable(Reason.NOT_A_DICT, "a number that is none") from None
    if math.isinf(number):
        raise Unreadable(Reason.NOT_JSON_VALUE, "infinity")
    return number


class _Scanner:
    """Reads one literal, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._kind: str | None = None
        self._word = ""
        self._next()

    def read(self) -> Any:
        value = self._value(0)
        if self._kind != "end":
            raise Unreadable(Reason.NOT_A_DICT, "text behind the literal")
        return value

    def _next(self) -> None:
        match = _TOKEN.match(self._text, self._end)
        if match is None:
            raise Unreadable(Reason.NOT_A_DICT, "no literal")
        self._kind, self._end = match.lastgroup, match.end()
        self._word = match[match.lastgroup or 0]

    def _value(self, depth: int) -> Any:
        kind, text = self._kind, self._word
        if depth > MAX_DEPTH:
            raise Unreadable(Reason.TOO_LARGE, f"nested more than {MAX_DEPTH} deep")
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
            raise Unreadable(Reason.NOT_JSON_VALUE, "a tuple")
        raise Unreadable(Reason.NOT_A_DICT, "no literal")

    def _dict(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._word != "}" or self._kind != "mark":
            key = self._value(depth + 1)
            if self._kind == "mark" and self._word in (",", "}"):
                raise Unreadable(Reason.NOT_JSON_VALUE, "a set")
            self._expect(":")
            if not isinstance(key, str):
                raise Unreadable(Reason.NOT_JSON_VALUE, "a key that is no string")
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
            raise Unreadable(Reason.NOT_A_DICT, f"no {mark} where one should be")
        self._next()

    def _string(self) -> str:
        parts = []
        while self._kind == "string":
            quote = self._word.find("'") if self._word[-1] == "'" else self._word.find('"')
            prefix = self._word[:quote].lower()
            if "b" in prefix:
                raise Unreadable(Reason.NOT_JSON_VALUE, "bytes")
            if prefix not in ("", "u"):
                raise Unreadable(Reason.NOT_A_DICT, f"a string with prefix {prefix}")
            if len(self._word) == quote + 2 and self._text.startswith(self._word[-1], self._end):
                raise Unreadable(Reason.NOT_A_DICT, "a string in triple quotes")
            parts.append(_ESCAPE.sub(_unescape, self._word[quote + 1 : -1]))
            self._next()
        text = "".join(parts)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unreadable(Reason.NOT_JSON_VALUE, "half a surrogate pair") from None
        return text

    def _number(self) -> int | float:
        sign = ""
        if self._kind == "mark":
            sign = self._word
            self._next()
        if self._kind != "number":
            if self._kind == "name" and self._word in ("nan", "inf"):
                raise Unreadable(Reason.NOT_JSON_VALUE, self._word)
            raise Unreadable(Reason.NOT_A_DICT, "a sign without a number")
        text = self._word
        self._next()
        if text[-1] in "jJ" or (self._kind == "mark" and self._word in ("+", "-")):
            raise Unreadable(Reason.NOT_JSON_VALUE, "a complex number")
        if text[:2].lower() in ("0x", "0o", "0b") or text.replace("_", "").isdigit():
            return -integer(text) if sign == "-" else integer(text)
        return -floating(text) if sign == "-" else floating(text)

    def _name(self) -> bool | None:
        name = self._word
        self._next()
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in ("nan", "inf"):
            raise Unreadable(Reason.NOT_JSON_VALUE, name)
        raise Unreadable(Reason.NOT_A_DICT, "a name")


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if code == "\r":
        # Python takes it for the end of the line, which goes.
        raise Unreadable(Reason.NOT_A_DICT, "a line that goes on behind a backslash and CR")
    if code in _ESCAPES:
        return _ESCAPES[code]
    if code[0] in "01234567":
        return chr(int(code, 8))
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        if number <= 0x10FFFF:
            return chr(number)
    if code in ("x", "u", "U", "N"):
        raise Unreadable(Reason.NOT_A_DICT, "an escape that is none")
    if len(code) > 1:
        raise Unreadable(Reason.NOT_A_DICT, "an escape beyond unicode")
    # Python keeps the backslash of an escape that it doesn't know.
    return match[0]
