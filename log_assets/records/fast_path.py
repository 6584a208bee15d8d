"""The fast path: records of the one shape that nearly all have, a batch at a time.

A *plain* record is the repr of a dict (or its JSON, spaced alike) with exactly the real record's keys in their order,
texts of printable ASCII without quotes or backslashes, a method that shortens and an `inDate` with milliseconds and Z.
One regular expression splits the joined batch into fields. User ids and dates are validated and converted as columns of
bytes, all at once; the text between them takes few distinct values, each validated and converted once a batch. A line
is its fields joined, never parsed or written as JSON. In such a text no quote, escape, constant or number can mean
something else than it says, so the line is the one that `row` makes of the parsed record: the tests hold that. Whatever
is not plain is left to `payload` and `row`. `odd_lines` is the way back: of an hour's lines, those that are not plain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import compress

import numpy as np
import numpy.typing as npt
from pybase64 import b64encode

from log_assets.hour import Hour
from log_assets.records.ids import Ids
from log_assets.records.reject import Reject
from log_assets.records.row import event_time

# Exactly one match for each line of the batch, so matches and texts stay aligned: a line that does not fit matches the
# second alternative, and all its groups are empty. The expression only splits; whether the text is plain is decided by
# validating each group afterwards.
_PLAIN = re.compile(
    rb"\{'user_id': '(.{64})', 'record_id': (0|-?[1-9]\d{0,17})(, '.*', 'inDate': ')(.{23})(Z.*)\n"
    rb"|.*\n"
)
_TEXT = rb"([^'\"\\\x00-\x1f\x7f-\xff]*)"
_FIELDS = re.compile(
    rb", 'activity': '%b', 'url': '%b', 'method': '(GET|POST)', 'name': '%b', 'inDate': '" % (_TEXT, _TEXT, _TEXT)
)
_HOUR = re.compile(rb"20\d\d-\d\d-\d\dT\d\d")
_MINUTES = re.compile(rb":[0-5]\d:[0-5]\d\.\d{3}")
_DETAIL = re.compile(rb"Z', 'detail': \{'message': '%b', 'levelname': '%b'\}\}" % (_TEXT, _TEXT))
_METHODS = {b"GET": b"1", b"POST": b"2"}

_SAFE = rb"[^\"\\\x00-\x1f\x7f-\xff]*"
_LINE = (
    rb'(?<![^\n])\{"user_id":"[\w-]{21}[AQgw][\w-]{21}[AQgw]","record_id":(?:0|-?[1-9]\d{0,17}),'
    rb'"activity":"SAFE","url":"SAFE","method":[12],"name":"SAFE","inDate":"HOUR[0-5]\d[0-5]\d\d{3}",'
    rb'"detail":\{"message":"SAFE","levelname":"SAFE"\}\}\n'
).replace(b"SAFE", _SAFE)

_HEX = b"0123456789abcdef"
_TO_SINGLE = bytes.maketrans(b'"', b"'")
# Bytes of half a user id, as they are and padded to whole groups of three; base64 digits of both.
_HALF, _HALF_PADDED, _HALF_DIGITS, _HALF_PADDED_DIGITS = 16, 18, 22, 24
_ID_DIGITS = 2 * _HALF_DIGITS
# Of 2023-03-10T01:48:11.818 the digits that are kept.
_DATE_DIGITS = np.array([2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 22])
_DATE_BYTES, _SHORT_DATE_BYTES, _HOUR_BYTES = 23, 15, 13
_LEAST_MINUTES = np.frombuffer(b":00:00.000", np.uint8)
_MORE_MINUTES = np.frombuffer(b":59:59.999", np.uint8) - _LEAST_MINUTES


_Parts = tuple[bytes, bytes, bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Plain:
    """Lines by hour, the record ids in them, and the positions of those texts that are not plain."""

    lines: dict[Hour, list[bytes]]
    ids: Ids
    left: list[int]


def encode(texts: Sequence[bytes | Reject], latest: datetime) -> Plain:
    """The lines of those texts that are plain records.

    Args:
        texts: plaintexts; rejects among them are left, in `left`, like everything that is not plain.
        latest: a record of an hour that does not end before is left too: its time has to be compared exactly.
    """
    if not texts:
        return Plain({}, np.empty(0, np.int64), [])
    found = _matches([b"" if isinstance(text, Reject) else text for text in texts])
    if len(found) != len(texts):
        # No plain record reaches over lines.
        found = _matches([b"" if isinstance(text, Reject) or b"\n" in text else text for text in texts])
    fields = {part: _fields(part) for part in {parts[2] for parts in found}}
    details = {part: _detail(part) for part in {parts[4] for parts in found}}
    hours = {part: _hour(part, latest) for part in {parts[3][:_HOUR_BYTES] for parts in found}}
    good, left = found, []
    if not (all(fields.values()) and all(details.values()) and all(hours.values()) and _all_digits(found)):
        is_good = [
            bool(fields[parts[2]] and details[parts[4]] and hours[parts[3][:_HOUR_BYTES]])
            and bool(_MINUTES.fullmatch(parts[3], _HOUR_BYTES))
            and not parts[0].translate(None, _HEX)
            for parts in found
        ]
        good = list(compress(found, is_good))
        left = [position for position, plain in enumerate(is_good) if not plain]
    join = b"".join
    lines = [
        join((b'{"user_id":"', user, b'","record_id":', parts[1], fields[parts[2]], date, details[parts[4]]))
        for parts, user, date in zip(good, _user_ids(good), _dates(good), strict=True)
    ]
    ids = np.array([parts[1] for parts in good], "S20").astype(np.int64)
    if len(hours) == 1 and not left:
        return Plain({hour: lines for hour in hours.values() if hour}, ids, left)
    by_hour: dict[Hour, list[bytes]] = {}
    for parts, line in zip(good, lines, strict=True):
        hour = hours[parts[3][:_HOUR_BYTES]]
        if hour:
            by_hour.setdefault(hour, []).append(line)
    return Plain(by_hour, ids, left)


def _all_digits(found: Sequence[_Parts]) -> bool:
    """Whether every user id is hexadecimal, and every date goes on after its hour as `_MINUTES` does."""
    if b"".join([parts[0] for parts in found]).translate(None, _HEX):
        return False
    return bool((_date_bytes(found)[:, _HOUR_BYTES:] - _LEAST_MINUTES <= _MORE_MINUTES).all())


def _matches(texts: list[bytes]) -> list[_Parts]:
    joined = b"\n".join(texts) + b"\n"
    if b"'" not in joined:
        joined = joined.translate(_TO_SINGLE)
    return _PLAIN.findall(joined)


def odd_lines(content: bytes, hour: Hour) -> list[bytes]:
    """Of the lines of an hour, those that are not plain ones of that hour, each with its newline."""
    if not hour.startswith("20"):
        # Only years from 2000 on are shortened.
        return content.splitlines(keepends=True)
    return _line_pattern(f"{hour[2:4]}{hour[5:7]}{hour[8:10]}{hour[11:13]}").sub(b"", content).splitlines(keepends=True)


@lru_cache(maxsize=64)
def _line_pattern(digits: str) -> re.Pattern[bytes]:
    return re.compile(_LINE.replace(b"HOUR", digits.encode()))


def _fields(part: bytes) -> bytes:
    """What stands in a line between id and date; nothing when the part is not plain."""
    match = _FIELDS.fullmatch(part)
    if match is None:
        return b""
    activity, url, method, name = match.groups()
    return b',"activity":"%b","url":"%b","method":%b,"name":"%b","inDate":"' % (activity, url, _METHODS[method], name)


def _detail(part: bytes) -> bytes:
    match = _DETAIL.fullmatch(part)
    return b'","detail":{"message":"%b","levelname":"%b"}}\n' % match.groups() if match else b""


def _hour(part: bytes, latest: datetime) -> Hour | None:
    """The hour of ``2023-03-10T01``; None when the calendar has none such, or it does not end before `latest`."""
    if not _HOUR.fullmatch(part):
        return None
    moment = event_time(f"{part.decode()}:00:00Z")
    if moment is None:
        return None
    hour = Hour.of(moment)
    return hour if hour.end <= latest else None


def _user_ids(good: Sequence[_Parts]) -> list[bytes]:
    # Base64 encodes groups of three bytes: each half of sixteen is padded to eighteen, and what comes of that is cut.
    halves = np.frombuffer(bytes.fromhex(b"".join([parts[0] for parts in good]).decode()), np.uint8)
    padded = np.zeros((2 * len(good), _HALF_PADDED), np.uint8)
    padded[:, :_HALF] = halves.reshape(-1, _HALF)
    digits = np.frombuffer(b64encode(padded.tobytes(), b"-_"), np.uint8).reshape(-1, _HALF_PADDED_DIGITS)
    return _cut(digits[:, :_HALF_DIGITS].tobytes(), _ID_DIGITS)


def _dates(good: Sequence[_Parts]) -> list[bytes]:
    return _cut(_date_bytes(good)[:, _DATE_DIGITS].tobytes(), _SHORT_DATE_BYTES)


def _date_bytes(good: Sequence[_Parts]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join([parts[3] for parts in good]), np.uint8).reshape(-1, _DATE_BYTES)


def _cut(joined: bytes, width: int) -> list[bytes]:
    return [joined[start : start + width] for start in range(0, len(joined), width)]
