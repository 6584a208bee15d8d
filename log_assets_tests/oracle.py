"""The view and the saved queries, computed in plain Python from the records alone: what every engine must answer."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from log_assets.hour import Hour
from log_assets.records import row

Row = dict[str, Any]
FIRST, LAST = "0000-00-00-00", "9999-12-31-23"
RESET = 1_000_000


def text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def decoded(one: Row) -> Row:
    """A record as the view must show it, without `extra`."""
    detail = one.get("detail")
    detail = detail if isinstance(detail, dict) else {}
    moment = row.event_time(one["inDate"])
    assert moment is not None
    number = one.get("record_id")
    kept = isinstance(number, int) and not isinstance(number, bool) and -(2**63) <= number < 2**63
    return {
        "user_id": text(one.get("user_id")),
        "record_id": number if kept else None,
        "activity": text(one.get("activity")),
        "url": text(one.get("url")),
        "method": text(one.get("method")),
        "name": text(one.get("name")),
        "in_date": moment.replace(tzinfo=None, microsecond=moment.microsecond // 1000 * 1000),
        "message": text(detail.get("message")),
        "levelname": text(detail.get("levelname")),
        "hour": Hour.of(moment),
    }


def order(one: Row) -> str:
    """A key that puts rows of any values in one order: rows that differ have keys that differ, NULL and 'None' too."""
    return json.dumps({name: repr(value) for name, value in one.items()}, sort_keys=True)


def _nulls_last(*values: Any) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is None, value) for value in values)


def events_per_hour(rows: Sequence[Row]) -> list[Row]:
    users: defaultdict[tuple[str, str | None], set[str]] = defaultdict(set)
    events: Counter[tuple[str, str | None]] = Counter()
    for one in rows:
        pair = (one["hour"], one["activity"])
        events[pair] += 1
        users[pair] |= {one["user_id"]} - {None}
    return [
        {"hour": hour, "activity": activity, "events": events[hour, activity], "users": len(users[hour, activity])}
        for hour, activity in sorted(events, key=lambda pair: _nulls_last(*pair))
    ]


def busiest_minutes(rows: Sequence[Row]) -> list[Row]:
    minutes = Counter(one["in_date"].replace(second=0, microsecond=0) for one in rows)
    found = sorted(minutes.items(), key=lambda item: (-item[1], item[0]))
    return [{"minute": minute, "events": number} for minute, number in found[:10]]


def funnel(rows: Sequence[Row]) -> list[Row]:
    reached: dict[str, datetime] = {}
    found = []
    for step, activity in enumerate(("view", "cart", "purchase"), 1):
        first: dict[str, datetime] = {}
        for one in rows:
            user, moment = one["user_id"], one["in_date"]
            if user is None or one["activity"] != activity:
                continue
            if step == 1 or (user in reached and moment >= reached[user]):
                first[user] = min(moment, first.get(user, moment))
        reached = first
        found.append({"step": step, "activity": activity, "users": len(first)})
    return found


def top_users(rows: Sequence[Row]) -> list[Row]:
    events = Counter(one["user_id"] for one in rows if one["user_id"] is not None)
    did = Counter((one["user_id"], one["activity"]) for one in rows)
    return [
        {
            "user_id": user,
            "events": number,
            "views": did[user, "view"],
            "carts": did[user, "cart"],
            "purchases": did[user, "purchase"],
        }
        for user, number in sorted(events.items(), key=lambda item: (-item[1], item[0]))[:20]
    ]


def user_history(rows: Sequence[Row], user_id: str) -> list[Row]:
    names = ("in_date", "activity", "method", "url", "message", "record_id")
    found = [one for one in rows if one["user_id"] == user_id]
    found.sort(key=lambda one: _nulls_last(one["in_date"], one["record_id"]))
    return [{name: one[name] for name in names} for one in found]


def hour_sizes(rows: Sequence[Row]) -> list[Row]:
    by_hour = defaultdict(list)
    for one in rows:
        by_hour[one["hour"]].append(one)
    found = []
    for hour, some in sorted(by_hour.items()):
        ids = [one["record_id"] for one in some if one["record_id"] is not None]
        moments = [one["in_date"] for one in some]
        found.append(
            {
                "hour": hour,
                "records": len(some),
                "users": len({one["user_id"] for one in some} - {None}),
                "first_record_id": min(ids, default=None),
                "last_record_id": max(ids, default=None),
                "first_in_date": min(moments),
                "last_in_date": max(moments),
            }
        )
    return found


def missing_record_ids(rows: Sequence[Row]) -> list[Row]:
    by_hour: dict[str, set[int]] = defaultdict(set)
    for one in rows:
        if one["record_id"] is not None:
            by_hour[one["hour"]].add(one["record_id"])
    eras: list[dict[int, str]] = [{}]
    mark: int | None = None
    for hour, ids in sorted(by_hour.items()):
        least = min(ids)
        back = mark is not None and least < mark
        if back:
            eras.append({})
        for number in ids:
            # What goes on counting in the hour of the reset belongs to the era before.
            era = eras[-2] if back and mark is not None and number >= mark else eras[-1]
            era.setdefault(number, hour)
        mark = least
    found = []
    for era in eras:
        numbers = sorted(era)
        for previous, number in itertools.pairwise(numbers):
            if 1 < number - previous <= RESET:
                found.append(
                    {
                        "hour": era[number],
                        "first_missing": previous + 1,
                        "last_missing": number - 1,
                        "missing": number - previous - 1,
                    }
                )
    return sorted(found, key=lambda one: (one["hour"], one["first_missing"]))


ANSWERS: dict[str, Callable[..., list[Row]]] = {
    function.__name__: function
    for function in (
        busiest_minutes,
        events_per_hour,
        funnel,
        hour_sizes,
        missing_record_ids,
        top_users,
        user_history,
    )
}


def unique(records: Iterable[Row]) -> list[Row]:
    """Records without those that are equal to one before, whatever the order of their keys: an hour is a set."""
    return list({json.dumps(one, sort_keys=True): one for one in records}.values())


def between(rows: Iterable[Row], first: str = FIRST, last: str = LAST) -> list[Row]:
    return [one for one in rows if first <= one["hour"] <= last]
