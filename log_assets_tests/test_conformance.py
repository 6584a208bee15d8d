"""One query, one answer: the view and the saved queries on DuckDB, on Trino and through Athena's API, against rows
that were computed in plain Python.

DuckDB's cases run everywhere; the others need a real Trino (`make test-trino`, which also takes more records).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from log_assets.errors import QueryError
from log_assets.lake import layout
from log_assets.query.sql import saved_queries
from log_assets.records import lines, lineset, row
from log_assets.source import Body
from log_assets.source.demo import DemoRecords
from log_assets.steps.capture import capture_all
from log_assets.steps.compact import compact
from log_assets.steps.receipts import pending
from log_assets.steps.transform import transform_all
from log_assets_tests.kit import CONFORMANCE, H0, Kit, Record, full_record, real_records, record
from log_assets_tests.oracle import (
    ANSWERS,
    FIRST,
    LAST,
    Row,
    between,
    decoded,
    funnel,
    order,
    top_users,
    unique,
    user_history,
)
from log_assets_tests.strategies import RECORDS

pytestmark = pytest.mark.conformance

H1 = H0.plus(1)
LATE = datetime(2099, 12, 31, tzinfo=UTC)
HYPOTHESIS_RECORDS = 10_000
HYPOTHESIS_RECORDS_IN_THE_FAST_TIER = 1_000
QUERIES_UNDER_SWAP = 200
SHOWN = {"inDate": ["in_date"], "detail": ["message", "levelname"]}
"""What the view calls those columns that it shows under another name."""
RANGES = ((FIRST, LAST), (H0, H0), (H0, H1), (H1, FIRST))

ENGINES = [
    "duckdb",
    pytest.param("trino", marks=pytest.mark.trino),
    pytest.param("athena", marks=pytest.mark.trino),
]


@dataclass
class Place:
    """Makes pipelines on one engine, and holds its answers against what is expected."""

    engine: str
    make: Callable[..., Kit]
    note: Callable[[str, object], None]

    def agrees(self, found: Sequence[Row], expected: Sequence[Row], *, empty: bool = False) -> None:
        """The answer is exactly what is expected, which is not nothing, unless the case says so."""
        assert bool(expected) is not empty, "the case says wrongly whether it expects rows"
        assert list(found) == list(expected)
        self.note(CONFORMANCE, f"{self.engine} {len(expected)}")


@pytest.fixture(params=ENGINES)
def place(
    request: pytest.FixtureRequest, tmp_path: Path, record_property: Callable[[str, object], None]
) -> Iterator[Place]:
    engine: str = request.param
    if engine == "duckdb":
        yield Place(engine, lambda **options: Kit(tmp_path, **options), record_property)
        return
    bucket, url = request.getfixturevalue("aws"), request.getfixturevalue("trino_url")
    if engine == "athena":
        request.getfixturevalue("athena_server")
        url = "athena://logs"
    yield Place(engine, lambda **options: Kit.in_cloud(tmp_path, bucket, url, **options), record_property)


def ask(kit: Kit, sql: str, *parameters: str) -> list[Row]:
    found: list[Row] = kit.engine.run(sql, parameters).table.to_pylist()
    return found


def view(kit: Kit) -> list[Row]:
    found = ask(kit, "SELECT * FROM logs")
    return sorted(({name: value for name, value in one.items() if name != "extra"} for one in found), key=order)


def judge(
    place: Place, kit: Kit, records: Sequence[Record], ranges: Sequence[tuple[str, str]] = ((FIRST, LAST),)
) -> None:
    """The view and every saved query, over each range of hours and for some users, against the oracle."""
    rows = [decoded(one) for one in unique(records)]
    busiest = [one["user_id"] for one in top_users(rows)[:1]]
    users = list(dict.fromkeys([*busiest, *sorted({one["user_id"] for one in rows} - {None})[:3]])) or ["none"]
    place.agrees(view(kit), sorted(rows, key=order), empty=not rows)
    for first, last in ranges:
        for name, query in saved_queries().items():
            given = {"from_hour": first, "to_hour": last}
            some = between(rows, first, last)
            if name != "user_history":
                expected = ANSWERS[name](some)
                place.agrees(ask(kit, *_bound(query, given)), expected, empty=not expected)
                continue
            for user in users:
                expected = user_history(some, user)
                found = ask(kit, *_bound(query, given | {"user_id": user}))
                # Of equal time and id the order is open.
                assert [_when(one) for one in found] == [_when(one) for one in expected]
                place.agrees(sorted(found, key=order), sorted(expected, key=order), empty=not expected)


def _when(one: Row) -> tuple[Any, Any]:
    return one["in_date"], one["record_id"]


def _bound(query: Any, given: dict[str, str]) -> list[Any]:
    sql, parameters = query.bind(given)
    return [sql, *parameters]


def test_the_real_records(place: Place) -> None:
    kit = place.make()
    kit.land(real_records())
    kit.publish(H0)
    judge(place, kit, real_records(), RANGES)


def demo(kit: Kit) -> list[Record]:
    """Two demo hours, an empty one after them, all published."""
    source = DemoRecords(3)
    numbers = source.numbers(H0.start, H1.end)[::5]
    bodies = [Body(source.body(kit.keyring, numbers[i : i + 1000]), "demo") for i in range(0, len(numbers), 1000)]
    capture_all(kit.lake, iter(bodies), kit.now)
    transform_all(kit.lake, kit.keyring, pending(kit.lake))
    kit.publish(H0, H1, H0.plus(2))
    return [source.record(number) for number in numbers]


def test_demo_hours_and_an_empty_one(place: Place) -> None:
    kit = place.make()
    records = demo(kit)
    assert funnel([decoded(one) for one in records])[-1]["users"] > 0
    judge(place, kit, records, RANGES)
    found = ask(kit, "SELECT count(*) AS n FROM compact_logs WHERE hour = ?", H0.plus(2))
    place.agrees(found, [{"n": 0}])


def test_nothing_registered_is_no_row_and_no_error(place: Place) -> None:
    judge(place, place.make(), [])


def test_hours_at_the_ends_of_time(place: Place) -> None:
    kit = place.make(clock=LATE)
    records = [
        record(number, inDate=moment)
        for number, moment in enumerate(
            [
                "2000-01-01T00:00:00.000Z",
                "2099-12-31T00:59:59.999Z",
                "0001-01-01T00:00:00Z",
                "1999-12-31T23:59:59.9Z",
                "2024-02-29T12:00:00.000Z",
                "2024-02-29T12:00:00.123456789+05:45",
                "2024-02-29T23:59:59-14:00",
                "2024-02-29T12:00:00",
                "2024-02-29 12:00:00,5",
                "2024-02-29T12:00:00.25+0545",
                "2024-02-29 12:00:00-03",
                1709208000,
                1709208000.25,
                1709208000250.9,
                1709208000.9999999,
                # Rounded to microseconds before it is cut to milliseconds.
                3027316281.5549994,
                "1709208000",
                "1709208000.123456789",
                "1709208000123",
                "1709208000123.9",
            ]
        )
    ]
    receipt = kit.land(records)
    assert receipt.kept == len(records)
    kit.publish(*receipt.hours)
    judge(place, kit, records)


def test_lines_full_of_extra_and_unicode(place: Place) -> None:
    kit = place.make()
    odd = "\u00e9e\u0301 \U0001f600 \x00 \u2028 \"'\\ \n, ''; DROP TABLE logs --"
    records = [
        record(1, extra={"hour": 1, odd: [odd, None, 1e16, -0.0, 10**40]}, hour="x", User_Id=odd),
        record(2, activity=odd, url=odd, name="", user_id=""),
        record(3, activity=None, method="PUT", detail={"message": odd, "levelname": None}),
        record(4, record_id="4", user_id=5, method=1, detail="text", url=["a"], name={"b": 1}),
        record(5, record_id=2**63 - 1, detail={"message": "", "levelname": "", "more": odd}),
        record(6, record_id=-(2**63), method=None, detail=None),
        record(7, record_id=2**63, user_id="0" * 64, method="GET"),
        {"inDate": record(8)["inDate"]},
    ]
    kit.land(records)
    kit.publish(H0)
    judge(place, kit, records)
    place.agrees(ask(kit, "SELECT count(*) AS n FROM logs WHERE activity = ?", odd), [{"n": 1}])
    place.agrees(ask(kit, "SELECT ? AS a, ? AS b", "", odd), [{"a": "", "b": odd}])


def test_the_judge_orders_whatever_differs() -> None:
    assert order({"message": None}) != order({"message": "None"})


def moved(in_date: Any, hour: int) -> Any:
    """A time of any form, brought to an hour of one day."""
    start = 1_709_164_800 + 3600 * hour
    if not isinstance(in_date, str):
        return start + in_date % 3600 if in_date < 10**11 else 1000 * start + in_date % 3_600_000
    if in_date[10:11] in ("T", " "):
        return f"2024-02-29{in_date[10]}{hour:02}{in_date[13:]}"
    whole, dot, part = in_date.partition(".")
    moment = start + int(whole) % 3600 if len(whole) <= 10 else 1000 * start + int(whole) % 3_600_000
    return f"{moment}{dot}{part}"


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest) -> list[Record]:
    """Records made by hypothesis, each once, in some dozen hours: its dates keep all but their day and hour."""
    full = "conformance" in request.config.option.markexpr
    wanted = HYPOTHESIS_RECORDS if full else HYPOTHESIS_RECORDS_IN_THE_FAST_TIER
    found: list[Record] = []

    @settings(
        max_examples=wanted * 5 // 4,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(RECORDS)
    def collect(one: Record) -> None:
        found.append(one | {"inDate": moved(one["inDate"], len(found) % 3)})

    collect()
    made = unique(found)[:wanted]
    assert len(made) == wanted
    return made


def test_every_column_of_hours_that_did_not_have_it_yet(place: Place) -> None:
    """An hour stays as it was written until records come: the view takes a later column from `extra`."""
    kit = place.make()
    keys = [key for key, _ in row.SCHEMA if key not in ("record_id", "extra")]
    records = [full_record(3600 * number) for number in range(len(keys) + 1)]
    kit.land(records[-1:])
    kit.publish(H0.plus(len(keys)))
    for number, key in enumerate(keys):
        kit.publish_older([records[number]], key, H0.plus(number))
    judge(place, kit, records)
    shown = [name for key in keys for name in SHOWN.get(key, [key])]
    for one in ask(kit, f"SELECT {', '.join(shown)} FROM logs"):
        assert None not in one.values()


def test_what_hypothesis_makes(place: Place, corpus: list[Record]) -> None:
    kit = place.make(clock=LATE)
    receipt = kit.land(corpus)
    assert receipt.kept == len(corpus)
    kit.publish(*receipt.hours)
    judge(place, kit, corpus)


def test_several_gzip_members(place: Place) -> None:
    kit = place.make()
    records = [record(number) for number in range(1234)]
    kit.land(records)
    kit.publish(H0)
    key = layout.lines_key(H0, kit.partition().digest)
    data = lineset.pack(lineset.union([lines.gunzip(kit.lake.get(key))]), 100).data
    # The digest is the content's: members of another size make the same generation.
    kit.lake.replace(key, data)
    assert data.count(b"\x1f\x8b\x08") >= 12
    judge(place, kit, records)


def test_only_registered_generations_are_read(place: Place) -> None:
    kit = place.make()
    kit.land([record(1)])
    kit.publish(H0)
    kit.land([record(2)])
    kit.publish(H0)
    kit.land([record(3), record(3601)])
    # Compacted, not published: folders beside the registered one, and of an hour that has none.
    compact(kit.lake, kit.catalog, H0)
    compact(kit.lake, kit.catalog, H1)
    assert len({key.split("/")[2] for key in kit.keys(f"compact/{H0}")}) == 3
    judge(place, kit, [record(1), record(2)])


def test_only_the_hours_asked_for_are_read(place: Place) -> None:
    kit = place.make()
    demo(kit)
    sizes = {hour: kit.partition(hour).summary.size for hour in (H0, H1)}
    for where, parameters, hours in (
        (f"hour = '{H0}'", [], [H0]),
        (f"hour BETWEEN '{H1}' AND '2099-01-01-00'", [], [H1]),
        (f"hour >= '{H0}' AND hour <= '{H1}'", [], [H0, H1]),
        ("hour = '2001-01-01-00'", [], []),
        ("hour = ?", [H0], [H0]),
        ("hour BETWEEN ? AND ?", [H1, H1], [H1]),
    ):
        result = kit.engine.run(f"SELECT count(DISTINCT user_id) AS n FROM logs WHERE {where}", parameters)
        read = sum(sizes[hour] for hour in hours)
        assert read <= result.bytes_scanned <= read * 1.2 + 200, where
    for name, query in saved_queries().items():
        result = kit.engine.run(*query.bind({"from_hour": H1, "to_hour": H1}))
        scans = 2 if name == "missing_record_ids" else 1
        assert result.bytes_scanned <= (sizes[H1] * 1.2 + 200) * scans, name


def test_a_parameter_is_a_value_and_nothing_else(place: Place) -> None:
    kit = place.make()
    kit.land([record(1), record(2)])
    kit.publish(H0)
    for text in ("' OR '1'='1", "x' UNION SELECT user_id FROM logs --", "?", "';", "\\'", "%", "$1", "{0}"):
        sql, bound = saved_queries()["user_history"].bind({"user_id": text})
        place.agrees(ask(kit, sql, *bound), [], empty=True)
        place.agrees(ask(kit, "SELECT ? AS a", text), [{"a": text}])


def test_what_is_no_query_of_ours_is_refused_and_changes_nothing(place: Place) -> None:
    """A syntax error, an unknown column or table, quotes in a name, other statements, a division that fails."""
    kit = place.make()
    kit.land([record(1)])
    kit.publish(H0)
    for sql in (
        "SELECT FROM WHERE",
        "SELECT nope FROM logs",
        "SELECT * FROM nowhere",
        'SELECT * FROM "lo""gs; DROP TABLE compact_logs"',
        'SELECT * FROM "logs\'; DROP TABLE compact_logs --"',
        "SELECT CAST('x' AS bigint) AS a",
        "DROP TABLE compact_logs",
        "DELETE FROM compact_logs",
        "SELECT 1 AS a; DROP VIEW logs",
        "",
    ):
        with pytest.raises(QueryError) as caught:
            kit.engine.run(sql)
        assert "\n" not in str(caught.value), sql
    place.agrees(ask(kit, "SELECT count(*) AS n FROM logs"), [{"n": 1}])


def test_types_and_nulls_come_back_alike(place: Place) -> None:
    sql = (
        "SELECT 1 AS i, CAST(2 AS bigint) AS b, 1.5e0 AS d, CAST(1.25 AS decimal(10, 2)) AS m, true AS t, '' AS e, "
        "CAST(NULL AS varchar) AS n, CAST(NULL AS bigint) AS nb, DATE '2023-03-10' AS day, "
        "TIMESTAMP '2023-03-10 01:02:03.004' AS moment"
    )
    place.agrees(
        ask(place.make(), sql),
        [
            {
                "i": 1,
                "b": 2,
                "d": 1.5,
                "m": Decimal("1.25"),
                "t": True,
                "e": "",
                "n": None,
                "nb": None,
                "day": datetime(2023, 3, 10).date(),  # noqa: DTZ001
                "moment": datetime(2023, 3, 10, 1, 2, 3, 4000),  # noqa: DTZ001
            }
        ],
    )


def test_a_generation_is_swapped_under_running_queries(place: Place) -> None:
    """Each answer is one generation, whole: none older than the one published when the query began."""
    kit = place.make()
    kit.land([record(0)])
    kit.publish(H0)
    published: list[int] = [1]
    wrong: list[object] = []
    # Appending is safe from many threads; counting is not.
    asked: list[int] = []
    stop = threading.Event()

    def ask_again() -> None:
        while not stop.is_set():
            before = published[0]
            (found,) = ask(kit, "SELECT count(*) AS n, max(record_id) AS last FROM logs WHERE hour = ?", H0)
            # The partition may have moved just before the publication was noted here.
            if not before <= found["n"] <= published[0] + 1 or found["last"] != found["n"] - 1:
                wrong.append((before, found, published[0]))
            asked.append(found["n"])

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask_again) for _ in range(6)]
        while len(asked) < QUERIES_UNDER_SWAP and not any(one.done() for one in asking):
            kit.land([record(published[0])])
            kit.publish(H0)
            published[0] += 1
        stop.set()
        for one in asking:
            one.result()
    assert wrong == []
    assert len(asked) >= QUERIES_UNDER_SWAP
    assert len(set(asked)) >= 5
    # The folders of all generations are still there; only the last is read.
    place.agrees(ask(kit, "SELECT count(*) AS n FROM logs WHERE hour = ?", H0), [{"n": published[0]}])
