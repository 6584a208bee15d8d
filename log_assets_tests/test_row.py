"""Rows: lossless, canonical, and never one that a query could fail on."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import orjson
import pytest
from b64uuid import B64UUID
from hypothesis import given, settings

from log_assets.hour import Hour
from log_assets.records import payload, row
from log_assets.records.ids import ids_of
from log_assets.records.reject import Reason, Reject
from log_assets_tests.kit import H0, full_record, real_records, record
from log_assets_tests.strategies import EPOCH_DATES, LANDED, OTHER_DATES, RECORDS, SHORT_DATES, TEXTS, same

SCHEMAS = {
    1: (
        ("user_id", "string"),
        ("record_id", "bigint"),
        ("activity", "string"),
        ("url", "string"),
        ("method", "int"),
        ("name", "string"),
        ("inDate", "string"),
        ("detail", "struct<message:string,levelname:string>"),
        ("extra", "string"),
    ),
}
"""The schema of each row version, by hand; none is ever changed, a new one is added."""

LINE_OF_THE_FIRST = (
    b'{"user_id":"69pD9HW7jTXMGMPde4EVygsr7YksJYi3DEL-rljALdQA","record_id":5822,"activity":"view",'
    b'"url":"/api/products/product/","method":2,"name":"json_logger","inDate":"230310014811818",'
    b'"detail":{"message":"POST view","levelname":"INFO"}}\n'
)


def line(one: dict[str, Any]) -> bytes:
    (found,) = row.encode([one], LANDED)
    assert isinstance(found, row.Row), found
    return found.line


def rejected(one: dict[str, Any], landed: datetime = LANDED) -> Reject:
    (found,) = row.encode([one], landed)
    assert isinstance(found, Reject)
    return found


def check_lossless(one: dict[str, Any]) -> None:
    written = line(one)
    assert same(row.restore([written]), [one])
    assert row.fits(written), written
    assert row.reencode([written]) == [written]
    assert written.count(b"\n") == 1


@settings(max_examples=2000, deadline=None)
@given(RECORDS)
def test_every_record_comes_back_and_every_line_fits(one: dict[str, Any]) -> None:
    check_lossless(one)


@pytest.mark.slow
@settings(max_examples=20000, deadline=None)
@given(RECORDS)
def test_every_record_comes_back_and_every_line_fits_at_length(one: dict[str, Any]) -> None:
    check_lossless(one)


@settings(max_examples=300, deadline=None)
@given(RECORDS)
def test_equal_records_make_equal_lines_whatever_the_order_and_the_text(one: dict[str, Any]) -> None:
    shuffled = dict(reversed(one.items()))
    by_json, by_repr = payload.parse([json.dumps(shuffled).encode(), repr(one).encode()])
    assert isinstance(by_json, dict)
    assert isinstance(by_repr, dict)
    assert line(shuffled) == line(one) == line(by_json) == line(by_repr)


@given(TEXTS)
def test_both_writers_escape_alike(text: str) -> None:
    assert orjson.dumps(text) == json.dumps(text, ensure_ascii=False).encode()


@given(SHORT_DATES | OTHER_DATES)
def test_an_hour_is_the_hour_of_the_event_in_utc(text: str) -> None:
    (found,) = row.encode([{"inDate": text}], LANDED)
    assert isinstance(found, row.Row)
    moment = datetime.fromisoformat(re.sub(r"[.,][0-9]+", "", text))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    assert found.hour == Hour.of(moment)
    assert row.hour_of_line(found.line) == found.hour


@given(EPOCH_DATES)
def test_seconds_and_milliseconds_since_1970_are_times(value: float | str) -> None:
    exact = Fraction(value)
    exact = exact / 1000 if exact >= 10**11 else exact
    found = row.event_time(value)
    assert found is not None
    # Floating point of these years is exact to a quarter of a microsecond; digits are cut off, numbers rounded.
    assert abs((found - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1) - exact * 10**6) <= 1
    line_ = line(record(1) | {"inDate": value})
    assert json.loads(orjson.loads(line_)["extra"]) == {"inDate": value}
    assert row.hour_of_line(line_) == Hour.of(found)


def test_a_number_of_seconds_is_rounded_to_microseconds() -> None:
    moment = row.event_time(3027316281.5549994)
    assert moment is not None
    assert moment.microsecond == 555000


def test_the_first_real_record_makes_this_line() -> None:
    assert line(real_records()[0]) == LINE_OF_THE_FIRST


def test_the_real_records_need_no_extra() -> None:
    lines = [found.line for found in row.encode(real_records(), LANDED) if isinstance(found, row.Row)]
    assert len(lines) == 40
    assert not any(b"extra" in one for one in lines)
    assert same(row.restore(lines), real_records())
    assert ids_of(b"".join(lines), 40).tolist() == list(range(5822, 5862))
    assert {row.hour_of_line(one) for one in lines} == {H0}


def test_every_column_is_written_in_the_order_of_the_schema() -> None:
    """Derived from the schema: a column that is declared and not written turns it red."""
    columns = [key for key, _ in row.SCHEMA]
    written = line(full_record(1))
    assert list(orjson.loads(written)) == [key for key in columns if key != "extra"]
    check_lossless(full_record(1))
    check_lossless(full_record(1) | {"more": 1})
    assert list(orjson.loads(line(full_record(1) | {"more": 1}))) == columns


def test_another_schema_is_another_row_version_and_appends_columns() -> None:
    """Rows of one version with other columns would be unequal lines of equal records, and not be encoded anew."""
    assert SCHEMAS[row.ROW_VERSION] == row.SCHEMA
    assert max(SCHEMAS) == row.ROW_VERSION
    for older, newer in pairwise(SCHEMAS.values()):
        assert newer[: len(older)] == older


def test_a_user_id_is_two_b64uuids() -> None:
    user_id = real_records()[3]["user_id"]
    short = orjson.loads(line(real_records()[3]))["user_id"]
    assert short == str(B64UUID(user_id[:32])) + str(B64UUID(user_id[32:]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("record_id", True),
        ("record_id", 5.0),
        ("record_id", 2**63),
        ("record_id", "5"),
        ("user_id", "E" * 64),
        ("user_id", "e" * 63),
        ("method", "PUT"),
        ("method", 1),
        ("activity", None),
        ("url", ["/"]),
        ("detail", {"message": "m", "levelname": "INFO", "more": 1}),
        ("detail", {"message": 1, "levelname": "INFO"}),
        ("inDate", "2023-03-10T01:48:11.818+00:00"),
        ("inDate", "2023-03-10T01:48:11Z"),
        ("extra", "text"),
        ("hour", "2023"),
        ("User_Id", "x"),
    ],
)
def test_what_does_not_fit_stands_in_extra_under_its_own_name(field: str, value: Any) -> None:
    found = orjson.loads(line(record(1) | {field: value}))
    assert same(json.loads(found["extra"]), {field: value})
    assert field not in found or field == "extra"


@pytest.mark.parametrize(
    "text",
    [
        None, 5, "", "2023-03-10", "2023-03-10  01:48:11Z", "2023-03-10T01:48:11;818Z", "2023-03-10T01:48Z",
        True, math.inf, 10**400, -1678412891, 946684799, 946684799.9, 4102444800, 4102444800000, "0946684800",
        "946684799", "4102444800", "4102444800000", "16784128910", "1678412891,5", "+1678412891", "1678412891.", "1e9",
        {"$date": 1678412891}, "2023-03-10T01:48:11+1", "2023-03-10T01:48:11+01:0", "2023-03-10T01:48:11.5,5",
        "2023-W10-5T01:48:11Z", "2023-02-30T01:48:11Z", "2023-03-10T24:00:00Z", "2023-03-10T01:60:00Z",
        "2023-03-10T01:48:60Z", "2023-03-10T01:48:11.Z", "2023-03-10T01:48:11.1234567890Z", "2023-03-10T01:48:11z",
        "2023-03-10T01:48:11+2400", "2023-03-10T01:48:11+24:00", "2023-03-10T01:48:11+01:60", "٢٠٢٣-03-10T01:48:11Z",
        "0000-03-10T01:48:11Z", "2023-03-10T01:48:11Z\n", "0001-01-01T00:30:00+01:00", "9999-12-31T23:30:00-01:00",
        "10000-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_an_in_date_of_another_format_is_rejected(text: Any) -> None:
    assert rejected(record(1) | {"inDate": text}).reason is Reason.NO_IN_DATE


def test_a_missing_in_date_is_rejected() -> None:
    without = record(1)
    del without["inDate"]
    assert rejected(without) == Reject(Reason.NO_IN_DATE, "missing")


def test_an_event_more_than_a_day_after_landing_is_rejected() -> None:
    landed = datetime(2023, 3, 10, 1, 48, 11, 818000, tzinfo=UTC)
    assert rejected(record(1, inDate="9999-01-01T00:00:00Z"), landed).reason is Reason.FUTURE
    assert rejected(record(1, inDate="2023-03-11T01:48:11.819Z"), landed).reason is Reason.FUTURE
    (just,) = row.encode([record(1, inDate="2023-03-11T01:48:11.818Z")], landed)
    assert isinstance(just, row.Row)
    (year_one,) = row.encode([record(1, inDate="0001-01-01T00:00:00Z")], landed)
    assert isinstance(year_one, row.Row)
    assert year_one.hour == "0001-01-01-00"
    assert timedelta(days=1) == row.FUTURE


@pytest.mark.parametrize(
    "bad",
    [
        b'{"record_id":"5"}\n', b'{"record_id":5.0}\n', b'{"record_id":9223372036854775808}\n', b'{"method":3}\n',
        b'{"activity":5}\n', b'{"detail":{"message":"m"}}\n', b'{"detail":{"levelname":"I","message":"m"}}\n',
        b'{"extra":{}}\n', b'{"extra":"5"}\n', b'{"url":"a","activity":"b"}\n', b'{"unknown":"a"}\n', b"[]\n", b"\n",
        b'{"url": "a"}\n', b'{"url":"\\u0061"}\n', b'{"url":"a"}', b'{"user_id":"short"}\n', b'{"inDate":"2303"}\n',
        b"not json\n",
    ],
)  # fmt: skip
def test_a_line_that_does_not_fit_is_seen(bad: bytes) -> None:
    assert not row.fits(bad)


def test_rejects_pass_through_in_their_place() -> None:
    reject = Reject(Reason.KEY)
    found = row.encode([record(1), reject, record(2)], LANDED)
    assert found[1] is reject
    assert isinstance(found[0], row.Row)
    assert isinstance(found[2], row.Row)
