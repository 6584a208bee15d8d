"""The hour's identity, and what is no hour."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_assets.errors import HourError
from log_assets.hour import Hour, contiguous, hours_between


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-30-01",
        "2023-03-10-24",
        "2023-3-10-01",
        "2023-03-10",
        "2023-03-10T01",
        "",
        "٢٠٢٣-03-10-01",
        " 2023-03-10-01",
    ],
)
def test_what_is_no_hour_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(HourError, match="is no hour") as caught:
        Hour(text)
    assert repr(text) in str(caught.value)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001
def test_hours_sort_as_text_in_order_of_time(moment: datetime) -> None:
    hour = Hour.of(moment.replace(tzinfo=UTC))
    assert Hour(str(hour)) == hour
    assert hour.start <= moment.replace(tzinfo=UTC) < hour.end
    assert hour < hour.plus(1)
    assert hour.plus(1).start == hour.end


def test_an_hour_is_utc_whatever_the_zone_of_the_moment() -> None:
    moment = datetime(2023, 3, 10, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    assert Hour.of(moment) == "2023-03-09-22"


def test_ranges_of_hours() -> None:
    hours = list(hours_between(Hour("2023-03-10-22"), Hour("2023-03-11-01")))
    assert hours == ["2023-03-10-22", "2023-03-10-23", "2023-03-11-00", "2023-03-11-01"]
    assert list(hours_between(Hour("2023-03-11-01"), Hour("2023-03-10-22"))) == []
    assert contiguous([hours[0], hours[1], hours[3]]) == [[hours[0], hours[1]], [hours[3]]]
