"""Hypothesis strategies for records: what the source sends, and everything else that JSON can hold."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from log_assets.records import row
from log_assets_tests.kit import record

LANDED = datetime(2099, 12, 31, tzinfo=UTC)
"""Late enough that no record of these strategies lies in the future."""

HUGE_INTEGERS = st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**40, -(10**40), 0, -1])
INTEGERS = st.one_of(HUGE_INTEGERS, st.integers(), st.integers(-(2**70), 2**70))
ODD_FLOATS = st.sampled_from([-0.0, 0.0, 1e308, -1e308, 5e-324, 1e16, 1e22, 1e-7, 2.0, 123456789012345680.0, 0.1])
FLOATS = st.one_of(ODD_FLOATS, st.floats(allow_nan=False, allow_infinity=False))
QUOTES_AND_ESCAPES = st.text(alphabet="'\"\\/\n\r\t\b\f\x00\x1f\x7fabu0{}[]:,% ", max_size=20)
EVERY_PLANE = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], min_codepoint=0, max_codepoint=0x10FFFF), max_size=20
)
ODD_CHARACTERS = st.text(alphabet="\x00\x7f\x85\u00e9e\u0301\u2028\u2029\ufeff\uffff\U0001f600\U0010ffff", max_size=10)
TEXTS = st.one_of(EVERY_PLANE, QUOTES_AND_ESCAPES, ODD_CHARACTERS, st.sampled_from(["True", "None", "null", "GET"]))
CASE_COLLIDING_KEYS = st.sampled_from(["User_Id", "USER_ID", "Record_id", "indate", "INDATE", "Extra", "Hour", "NAME"])
FIELDS_OF_OUR_OWN = st.sampled_from([*(key for key, _ in row.SCHEMA), "hour", "message", "levelname"])
KEYS = st.one_of(CASE_COLLIDING_KEYS, FIELDS_OF_OUR_OWN, TEXTS)
SCALARS = st.one_of(st.none(), st.booleans(), INTEGERS, FLOATS, TEXTS)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)

HEX_IDS = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)
NEARLY_HEX_IDS = st.one_of(
    st.text(alphabet="0123456789abcdefABCDEF٣", min_size=63, max_size=65),
    HEX_IDS.map(str.upper),
    HEX_IDS.map("{}\n".format),
)
DATES = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2098, 12, 31))  # noqa: DTZ001
SHORT_DATES = DATES.map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z")
OFFSETS = st.builds(
    "{}{:02}{}".format,
    st.sampled_from("+-"),
    st.integers(0, 23),
    st.just("") | st.integers(0, 59).map("{:02}".format) | st.integers(0, 59).map(":{:02}".format),
)
DIGITS = st.text(alphabet=string.digits, min_size=1, max_size=9)
OTHER_DATES = st.builds(
    lambda moment, between, fraction, zone: f"{moment:%Y-%m-%d}{between}{moment:%H:%M:%S}{fraction}{zone}",
    DATES,
    st.sampled_from("TT "),
    st.one_of(st.just(""), DIGITS.map(".{}".format), DIGITS.map(",{}".format)),
    st.one_of(st.just(""), st.just("Z"), OFFSETS),
)
SECONDS = st.integers(row.EPOCH_SECONDS[0], int(datetime(2098, 12, 31, tzinfo=UTC).timestamp()))
EPOCH_DATES = st.one_of(
    SECONDS,
    st.builds(lambda seconds, part: seconds + part, SECONDS, st.floats(0, 1, exclude_max=True)),
    st.builds(lambda seconds, part: 1000 * seconds + part, SECONDS, st.integers(0, 999) | st.floats(0, 999)),
    st.builds(lambda seconds, part: f"{seconds}{part}", SECONDS, st.just("") | DIGITS.map(".{}".format)),
    st.builds(lambda seconds, part: f"{seconds}123{part}", SECONDS, st.just("") | DIGITS.map(".{}".format)),
)
"""Seconds and milliseconds since 1970, as numbers and digits."""

IN_DATES: st.SearchStrategy[Any] = st.one_of(SHORT_DATES, OTHER_DATES, EPOCH_DATES)


def _near(base: int, fields: dict[str, Any], dropped: set[str], in_date: Any) -> dict[str, Any]:
    """A record of the real shape, some of its fields changed, dropped or added."""
    changed = {key: value for key, value in (record(base) | fields).items() if key not in dropped}
    return changed | {"inDate": in_date}


NEAR_REAL = st.builds(
    _near,
    st.integers(0, 10**6),
    st.dictionaries(KEYS, NESTED, max_size=3)
    | st.fixed_dictionaries(
        {},
        optional={
            "user_id": HEX_IDS | NEARLY_HEX_IDS,
            "record_id": INTEGERS | FLOATS | st.booleans(),
            "method": st.sampled_from(["GET", "POST", "get", "PUT", 1, 2, "", None]),
            "detail": st.fixed_dictionaries({"message": TEXTS, "levelname": TEXTS}, optional={"x": SCALARS}) | NESTED,
            "activity": SCALARS,
        },
    ),
    st.sets(st.sampled_from(["user_id", "record_id", "activity", "url", "method", "name", "detail"]), max_size=3),
    IN_DATES,
)
ANYTHING = st.builds(
    lambda fields, in_date: fields | {"inDate": in_date}, st.dictionaries(KEYS, NESTED, max_size=6), IN_DATES
)
RECORDS = st.one_of(NEAR_REAL, ANYTHING)


def same(a: Any, b: Any) -> bool:
    """Equality that tells 2, 2.0 and True apart, and 0.0 from -0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) and repr(a) == repr(b)
