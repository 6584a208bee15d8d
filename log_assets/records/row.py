"""Record ⇄ row: one line of canonical JSON, lossless, and never one that a query could fail on.

The one rule: a column holds a value only if the value fits the column's type and its shortening is exactly
reversible. Every other field, explicit nulls included, stands under its own name, unchanged, in `extra` (JSON text),
and the column is absent. So `restore(row(record)) == record` for every record that JSON can hold, whatever its keys
are called, and every line fits the schema.

Canonical: keys in the schema's order, no spaces, nothing escaped but what JSON must, `extra` sorted by code point at
every depth, floats as Python writes them. Equal records make equal lines. Any change of this is a new `ROW_VERSION`.
"""

from __future__ import annotations

import json
import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from b64uuid import B64UUID

from log_assets.hour import Hour
from log_assets.records.reject import Reason, Reject

ROW_VERSION = 1

SCHEMA = (
    ("user_id", "string"),
    ("record_id", "bigint"),
    ("activity", "string"),
    ("url", "string"),
    ("method", "int"),
    ("name", "string"),
    ("inDate", "string"),
    ("detail", "struct<message:string,levelname:string>"),
    ("extra", "string"),
)
"""The keys of a line, in order, and the Hive type of the column each goes to (whose name is in lower case)."""

Record = dict[str, Any]

_METHODS = {"GET": 1, "POST": 2}
_METHODS_BACK = {number: name for name, number in _METHODS.items()}
_HEX = re.compile(r"[0-9a-f]{64}")
_SHORT_ID = re.compile(r"[A-Za-z0-9_-]{44}")
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?:Z|([+-])(\d\d)(?::?(\d\d))?)?", re.ASCII
)
# Seconds of 2000 to 2099 since 1970 have nine or ten digits, milliseconds three more.
_EPOCH = re.compile(r"([1-9]\d{8,9}|[1-9]\d{11,12})(?:\.(\d{1,9}))?", re.ASCII)
EPOCH_SECONDS = (946_684_800, 4_102_444_800)
"""The beginning of the years 2000 and 2100."""

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTENABLE = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_SHORT_DATE = re.compile(r"\d{15}", re.ASCII)
_MIN_ID, _MAX_ID = -(2**63), 2**63 - 1
FUTURE = timedelta(days=1)
"""How much later than its window an event may be."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line, with its newline, and the hour of its event."""

    hour: Hour
    line: bytes


def encode(records: Sequence[Record | Reject], landed: datetime) -> list[Row | Reject]:
    """The row of each record, or why there is none; same length and order, rejects pass through.

    Args:
        records: values that JSON can hold.
        landed: when their window was put (aware); an event more than a day later is rejected.
    """
    latest = landed + FUTURE
    rows: list[Row | Reject] = []
    for record in records:
        if isinstance(record, Reject):
            rows.append(record)
            continue
        moment = event_time(record.get("inDate"))
        if moment is None:
            rows.append(Reject(Reason.NO_IN_DATE, "missing" if "inDate" not in record else "no time that is known"))
        elif moment > latest:
            rows.append(Reject(Reason.FUTURE))
        else:
            rows.append(Row(Hour.of(moment), _line(record)))
    return rows


def restore(lines: Sequence[bytes]) -> list[Record]:
    """The record of each line, as it was before `encode`."""
    return [_restore(line) for line in lines]


def reencode(lines: Sequence[bytes]) -> list[bytes]:
    """Lines of any row version as this version writes them; not sorted anew."""
    return [_line(record) for record in restore(lines)]


def event_time(value: object) -> datetime | None:
    """An `inDate` in UTC, cut to microseconds; None when it is no time in a form that sources write.

    `YYYY-MM-DDTHH:MM:SS` (or a space for the T), a point or comma and 1 to 9 digits, then ``Z``, ``±HH:MM``, ``±HHMM``,
    ``±HH`` or nothing (UTC), checked against the calendar; or seconds or milliseconds since 1970, of the years 2000 to
    2099, as a number or its digits.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _epoch_time(value)
    if not isinstance(value, str):
        return None
    if match := _EPOCH.fullmatch(value):
        whole, fraction = match.groups()
        milliseconds = len(whole) > len(str(EPOCH_SECONDS[1]))
        digits = whole + (fraction or "").ljust(6, "0")[: 3 if milliseconds else 6]
        return _since_1970(int(digits))
    return _iso_time(value)


def _epoch_time(number: float) -> datetime | None:
    first, end = EPOCH_SECONDS
    for scale in (1, 1000):
        if first * scale <= number < end * scale:
            # By floating point, as every engine reads a number of JSON: 2000 to 2099 has no more than 53 bits of them.
            return _since_1970(math.floor(float(number) * (1_000_000 // scale) + 0.5))
    return None


def _since_1970(microseconds: int) -> datetime | None:
    first, end = EPOCH_SECONDS
    if not first * 1_000_000 <= microseconds < end * 1_000_000:
        return None
    return _UNIX + timedelta(microseconds=microseconds)


def _iso_time(text: str) -> datetime | None:
    if not (match := _ISO.fullmatch(text)):
        return None
    *date, fraction, sign, hours, minutes = match.groups()
    if sign and (int(hours) > 23 or int(minutes or 0) > 59):
        return None
    try:
        moment = datetime(*map(int, date), int((fraction or "").ljust(6, "0")[:6]), tzinfo=UTC)  # type: ignore[misc,arg-type]
        if sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
            moment = moment + offset if sign == "-" else moment - offset
    except (ValueError, OverflowError):
        return None
    return moment


def hour_of_line(line: bytes) -> Hour | None:
    """The event hour that a line's own `inDate` tells; None when it tells none."""
    moment = event_time(_restore(line).get("inDate"))
    return None if moment is None else Hour.of(moment)


def to_json(record: Record) -> bytes:
    """A record as JSON text, every number exact."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def fits(line: bytes) -> bool:
    """Whether a line holds what `SCHEMA` allows, as canonical text: known keys in order, each of its type."""
    try:
        found = json.loads(line)
        if not isinstance(found, dict) or list(found) != [key for key, _ in SCHEMA if key in found]:
            return False
        if not all(_fits(key, value) for key, value in found.items()):
            return False
    except ValueError:
        return False
    return orjson.dumps(found) + b"\n" == line


def _line(record: Record) -> bytes:
    extra = dict(record)
    row: Record = {}

    value = extra.get("user_id")
    if isinstance(value, str) and _HEX.fullmatch(value):
        row["user_id"] = B64UUID(value[:32]).string + B64UUID(value[32:]).string
        del extra["user_id"]
    value = extra.get("record_id")
    if type(value) is int and _MIN_ID <= value <= _MAX_ID:
        row["record_id"] = value
        del extra["record_id"]
    for key in ("activity", "url"):
        if isinstance(extra.get(key), str):
            row[key] = extra.pop(key)
    value = extra.get("method")
    if isinstance(value, str) and value in _METHODS:
        row["method"] = _METHODS[value]
        del extra["method"]
    if isinstance(extra.get("name"), str):
        row["name"] = extra.pop("name")
    value = extra.get("inDate")
    if isinstance(value, str) and _SHORTENABLE.fullmatch(value) and event_time(value):
        row["inDate"] = (
            value[2:4] + value[5:7] + value[8:10] + value[11:13] + value[14:16] + value[17:19] + value[20:23]
        )
        del extra["inDate"]
    value = extra.get("detail")
    if isinstance(value, dict) and _is_detail(value):
        row["detail"] = {"message": value["message"], "levelname": value["levelname"]}
        del extra["detail"]
    if extra:
        # Not orjson: its releases differ in how they write 1e16, and it refuses integers beyond 64 bits.
        row["extra"] = json.dumps(extra, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return orjson.dumps(row) + b"\n"


def _restore(line: bytes) -> Record:
    record: Record = orjson.loads(line)
    extra = record.pop("extra", None)
    if "user_id" in record:
        text = record["user_id"]
        record["user_id"] = urlsafe_b64decode(text[:22] + "==").hex() + urlsafe_b64decode(text[22:] + "==").hex()
    if "method" in record:
        record["method"] = _METHODS_BACK[record["method"]]
    if "inDate" in record:
        t = record["inDate"]
        record["inDate"] = f"20{t[:2]}-{t[2:4]}-{t[4:6]}T{t[6:8]}:{t[8:10]}:{t[10:12]}.{t[12:]}Z"
    if extra is not None:
        record.update(json.loads(extra))
    return record


def _is_detail(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) == 2
        and isinstance(value.get("message"), str)
        and isinstance(value.get("levelname"), str)
    )


def _fits(key: str, value: Any) -> bool:  # noqa: PLR0911
    match key:
        case "record_id":
            return type(value) is int and _MIN_ID <= value <= _MAX_ID
        case "method":
            return type(value) is int and value in _METHODS_BACK
        case "detail":
            return _is_detail(value) and list(value) == ["message", "levelname"]
        case "user_id":
            return isinstance(value, str) and bool(_SHORT_ID.fullmatch(value))
        case "inDate":
            return isinstance(value, str) and bool(_SHORT_DATE.fullmatch(value))
        case "extra":
            return isinstance(value, str) and isinstance(json.loads(value), dict)
    return isinstance(value, str)
