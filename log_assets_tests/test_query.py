"""The query engine: the view and the saved queries against plain Python, over registered partitions only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from log_assets.catalog.table import columns
from log_assets.errors import QueryError, SettingError
from log_assets.ports import open_engine
from log_assets.query.sql import saved_queries
from log_assets.records import row
from log_assets.source import Body
from log_assets.source.demo import DemoRecords
from log_assets.steps.capture import capture_all
from log_assets.steps.compact import compact
from log_assets.steps.receipts import pending
from log_assets.steps.transform import transform_all
from log_assets_tests.kit import H0, Kit, real_records, record
from log_assets_tests.oracle import decoded, order
from log_assets_tests.strategies import RECORDS

H1 = H0.plus(1)


def view(kit: Kit, where: str = "true") -> list[dict[str, Any]]:
    rows = kit.engine.run(f"SELECT * FROM logs WHERE {where}").table.to_pylist()
    return sorted(({name: value for name, value in one.items() if name != "extra"} for one in rows), key=order)


def run(kit: Kit, name: str, **given: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kit.engine.run(*saved_queries()[name].bind(given)).table.to_pylist()
    return found


def test_the_view_shows_the_real_records(kit: Kit) -> None:
    kit.land(real_records())
    kit.publish(H0)
    assert view(kit) == sorted(map(decoded, real_records()), key=order)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(RECORDS, min_size=1, max_size=20, unique_by=row.to_json))
def test_the_view_shows_every_record_and_no_row_makes_it_fail(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    kit = Kit(tmp_path_factory.mktemp("view"), clock=datetime.fromisoformat("2099-12-31T00:00:00+00:00"))
    receipt = kit.land(records)
    assert receipt.kept == len(records)
    kit.publish(*receipt.hours)
    encoded = [found for found in row.encode(records, kit.clock) if isinstance(found, row.Row)]
    unique = {found.line: one for found, one in zip(encoded, records, strict=True)}
    assert view(kit) == sorted((decoded(one) for one in unique.values()), key=order)
    for name in saved_queries():
        run(kit, name)


@pytest.fixture
def demo(kit: Kit) -> tuple[Kit, Sequence[dict[str, Any]]]:
    """Two demo hours and an empty one, published."""
    source = DemoRecords(3)
    numbers = source.numbers(H0.start, H1.end)[::5]
    bodies = [Body(source.body(kit.keyring, numbers[i : i + 1000]), "demo") for i in range(0, len(numbers), 1000)]
    capture_all(kit.lake, iter(bodies), kit.now)
    transform_all(kit.lake, kit.keyring, pending(kit.lake))
    kit.publish(H0, H1, H0.plus(2))
    return kit, [source.record(number) for number in numbers]


def test_saved_queries_give_what_plain_python_computes(demo: tuple[Kit, list[dict[str, Any]]]) -> None:
    kit, records = demo
    rows = [decoded(one) for one in records]

    events = Counter((one["hour"], one["activity"]) for one in rows)
    users = {pair: len({o["user_id"] for o in rows if (o["hour"], o["activity"]) == pair}) for pair in events}
    assert run(kit, "events_per_hour") == [
        {"hour": hour, "activity": activity, "events": events[hour, activity], "users": users[hour, activity]}
        for hour, activity in sorted(events)
    ]

    minutes = Counter(one["in_date"].replace(second=0, microsecond=0) for one in rows)
    assert run(kit, "busiest_minutes") == [
        {"minute": minute, "events": number}
        for minute, number in sorted(minutes.items(), key=lambda item: (-item[1], item[0]))[:10]
    ]

    top = Counter(one["user_id"] for one in rows)
    expected = [
        {"user_id": user, "events": number}
        | {
            name: sum(o["user_id"] == user and o["activity"] == activity for o in rows)
            for name, activity in (("views", "view"), ("carts", "cart"), ("purchases", "purchase"))
        }
        for user, number in sorted(top.items(), key=lambda item: (-item[1], item[0]))[:20]
    ]
    assert run(kit, "top_users") == expected

    first: dict[str, dict[str, datetime]] = {}
    for before, activity in ((None, "view"), ("view", "cart"), ("cart", "purchase")):
        first[activity] = {}
        for one in sorted(rows, key=lambda one: one["in_date"]):
            user = one["user_id"]
            if one["activity"] != activity or user in first[activity]:
                continue
            if before is None or (user in first[before] and one["in_date"] >= first[before][user]):
                first[activity][user] = one["in_date"]
    assert run(kit, "funnel") == [
        {"step": step, "activity": activity, "users": len(first[activity])}
        for step, activity in enumerate(("view", "cart", "purchase"), 1)
    ]
    assert len(first["purchase"]) > 0

    user = expected[0]["user_id"]
    history = sorted((o for o in rows if o["user_id"] == user), key=lambda o: (o["in_date"], o["record_id"]))
    names = ("in_date", "activity", "method", "url", "message", "record_id")
    assert run(kit, "user_history", user_id=user) == [{name: one[name] for name in names} for one in history]

    assert run(kit, "hour_sizes") == [
        {
            "hour": hour,
            "records": len(some),
            "users": len({o["user_id"] for o in some}),
            "first_record_id": min(o["record_id"] for o in some),
            "last_record_id": max(o["record_id"] for o in some),
            "first_in_date": min(o["in_date"] for o in some),
            "last_in_date": max(o["in_date"] for o in some),
        }
        for hour in (H0, H1)
        for some in [[o for o in rows if o["hour"] == hour]]
    ]


def test_only_the_hours_asked_for_are_read(demo: tuple[Kit, Any]) -> None:
    kit, _ = demo
    sizes = {hour: kit.partition(hour).summary.size for hour in (H0, H1)}
    for where, hours in (
        (f"hour = '{H0}'", [H0]),
        (f"hour BETWEEN '{H1}' AND '2099-01-01-00'", [H1]),
        (f"hour >= '{H0}' AND hour <= '{H1}'", [H0, H1]),
        ("hour = '2001-01-01-00'", []),
    ):
        result = kit.engine.run(f"SELECT count(DISTINCT user_id) AS n FROM logs WHERE {where}")
        read = sum(sizes[hour] for hour in hours)
        assert read <= result.bytes_scanned <= read * 1.2 + 200, where
    bound = kit.engine.run("SELECT count(DISTINCT user_id) AS n FROM logs WHERE hour = ?", [H0])
    assert bound.bytes_scanned <= sizes[H0] * 1.2


def test_only_registered_generations_are_read(kit: Kit) -> None:
    kit.land([record(1)])
    kit.publish(H0)
    kit.land([record(2)])
    kit.publish(H0)
    kit.land([record(3), record(3601)])
    compact(kit.lake, kit.catalog, H0)
    compact(kit.lake, kit.catalog, H1)
    assert len({key.split("/")[2] for key in kit.keys(f"compact/{H0}")}) == 3
    found = kit.engine.run("SELECT record_id FROM logs ORDER BY record_id").table.to_pylist()
    assert [one["record_id"] for one in found] == [1, 2]


def test_no_partition_is_no_row_and_no_error(kit: Kit) -> None:
    assert view(kit) == []
    for name in saved_queries():
        run(kit, name)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "ATTACH '/tmp/x.db'",
        "SET enable_external_access = true",
        "SELECT * FROM logs; DROP TABLE logs",
        "",
    ],
)
def test_what_is_no_query_of_the_table_is_refused(kit: Kit, sql: str) -> None:
    kit.land([record(1)])
    kit.publish(H0)
    with pytest.raises(QueryError):
        kit.engine.run(sql)


def test_the_table_and_the_row_have_one_schema() -> None:
    assert [(column.name, column.hive_type) for column in columns()] == [(k.lower(), kind) for k, kind in row.SCHEMA]
    assert all(column.comment for column in columns())


def test_saved_queries_tell_what_they_are_for_and_name_each_parameter() -> None:
    assert len(saved_queries()) >= 6
    for query in saved_queries().values():
        assert query.title.endswith(".")
        assert {parameter.name for parameter in query.parameters} == set(re.findall(r"(?<!:):([a-z_]+)", query.sql))
        assert {"from_hour", "to_hour"} <= {parameter.name for parameter in query.parameters}


def test_another_engine_is_named(kit: Kit, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="QUERY_URL"):
        open_engine("hive://x", kit.catalog)
