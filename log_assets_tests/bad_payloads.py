"""Plaintexts that are no record, each with the reason for which it is rejected."""

import json

from log_assets.records.reject import Reason

NESTED = 100_000

BAD = {
    "no dict": (b"[1, 2]", Reason.NOT_A_DICT),
    "a number": (b"5", Reason.NOT_A_DICT),
    "empty": (b"", Reason.NOT_A_DICT),
    "html": (b"<html></html>", Reason.NOT_A_DICT),
    "no UTF-8": (b"{'a': '\xff'}", Reason.NOT_A_DICT),
    "code": (b"{'a': __import__('os').system('true')}", Reason.NOT_A_DICT),
    "lowercase constants in a repr": (b"{'a': true}", Reason.NOT_A_DICT),
    "nested 100,000 deep, JSON": (b'{"a":' * NESTED + b"1" + b"}" * NESTED, Reason.TOO_LARGE),
    "nested 100,000 deep, repr": (b"{'a': " * NESTED + b"1" + b"}" * NESTED, Reason.TOO_LARGE),
    "brackets 1 MiB": (b"[" * (1 << 20), Reason.TOO_LARGE),
    "65 deep": (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", Reason.TOO_LARGE),
    "10 MB long": (b"{'a': '" + b"x" * 10_000_000 + b"'}", Reason.TOO_LARGE),
    "NaN, JSON": (b'{"a": NaN}', Reason.NOT_JSON_VALUE),
    "nan, repr": (b"{'a': nan}", Reason.NOT_JSON_VALUE),
    "-inf, repr": (b"{'a': -inf}", Reason.NOT_JSON_VALUE),
    "Infinity, JSON": (b'{"a": -Infinity}', Reason.NOT_JSON_VALUE),
    "triple quotes": (b"{'a': '''x'''}", Reason.NOT_A_DICT),
    "triple quotes around a quote": (b"{'a': '''x'y'''}", Reason.NOT_A_DICT),
    "triple double quotes behind a text": (b"{'a': 'x' " + b'""""""' + b"}", Reason.NOT_A_DICT),
    "a line that goes on behind backslash and CR": (b"{'a': 'x\\\ry'}", Reason.NOT_A_DICT),
    "a line that goes on behind backslash and CR LF": (b"{'a': 'x\\\r\ny'}", Reason.NOT_A_DICT),
    "a text that holds a list": (b'"[1]"', Reason.NOT_A_DICT),
    "a text in which brackets are escaped": (
        json.dumps('{"a": ' + "[" * 65 + "]" * 65 + "}").replace("[", "\\u005b").encode(),
        Reason.TOO_LARGE,
    ),
    "a text of texts of texts": (json.dumps(json.dumps(json.dumps('{"a": 1}'))).encode(), Reason.NOT_A_DICT),
    "a text in a repr that holds no record": (b"'plain'", Reason.NOT_A_DICT),
    "bytes": (b"{'a': b'x'}", Reason.NOT_JSON_VALUE),
    "a set": (b"{'a': {1, 2}}", Reason.NOT_JSON_VALUE),
    "a tuple": (b"{'a': (1, 2)}", Reason.NOT_JSON_VALUE),
    "a complex number": (b"{'a': 1j}", Reason.NOT_JSON_VALUE),
    "1e400, JSON": (b'{"a": 1e400}', Reason.NOT_JSON_VALUE),
    "1e400, repr": (b"{'a': -1e400}", Reason.NOT_JSON_VALUE),
    "huge integer": (b'{"a": ' + b"9" * 4301 + b"}", Reason.TOO_LARGE),
    "huge integer, repr": (b"{'a': -" + b"9" * 1_000_000 + b"}", Reason.TOO_LARGE),
    "huge integer, hexadecimal": (b"{'a': 0x" + b"f" * 100_000 + b"}", Reason.TOO_LARGE),
    "lone surrogate, JSON": (b'{"a": "\\ud800"}', Reason.NOT_JSON_VALUE),
    "lone surrogate, key": (b'{"\\udfff": 1}', Reason.NOT_JSON_VALUE),
    "lone surrogate, repr": (b"{'a': '\\ud800'}", Reason.NOT_JSON_VALUE),
    "keys that are no strings": (b"{1: 2}", Reason.NOT_JSON_VALUE),
    "unterminated string": (b"{'a': '" + b"x" * 1_000_000, Reason.NOT_A_DICT),
    "a million minus signs": (b"{'a': " + b"-" * 1_000_000 + b"1}", Reason.NOT_A_DICT),
    "a million escapes": (b"{'a': '" + b"\\'" * 500_000, Reason.NOT_A_DICT),
}
