"""DuckDB alone: any record at all through the view, what is refused, and what the saved queries say of themselves.

What every engine must answer, DuckDB among them, stands in test_conformance.py.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from log_assets.catalog.table import columns
from log_assets.errors import QueryError, SettingError
from log_assets.lake import layout
from log_assets.ports import open_engine
from log_assets.query.sql import saved_queries
from log_assets.records import row
from log_assets_tests.kit import H0, Kit, record
from log_assets_tests.oracle import decoded, order
from log_assets_tests.strategies import RECORDS


def view(kit: Kit) -> list[dict[str, Any]]:
    rows = kit.engine.run("SELECT * FROM logs").table.to_pylist()
    return sorted(({name: value for name, value in one.items() if name != "extra"} for one in rows), key=order)


def run(kit: Kit, name: str, **given: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kit.engine.run(*saved_queries()[name].bind(given)).table.to_pylist()
    return found


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


def test_sql_reads_the_published_files_and_nothing_beside_or_above_them(tmp_path: Path) -> None:
    """Also where a folder above the lake is called as the lake's own."""
    outside = tmp_path / "compact" / "secret" / ".env"
    kit = Kit(outside.parent / "home [1]*'")
    outside.write_text("f_key=secret")
    for number in (1, 2):
        kit.land([record(number)])
        kit.publish(H0)
    lake = kit.folder / "lake"
    published = lake / layout.lines_key(H0, kit.partition().digest)
    others = [path for path in kit.folder.rglob("*") if path.is_file() and path != published]
    assert any("_manifest-" in path.name for path in others)
    assert kit.engine.run("SELECT count(*) AS n FROM logs").table.to_pylist() == [{"n": 2}]
    for path in [outside, *others, published.parent / "x", published.with_name("*"), Path("/etc/hostname")]:
        name = str(path).replace("'", "''")
        for sql in (
            f"SELECT * FROM read_text('{name}')",
            f"SELECT * FROM read_blob('{name}')",
            f"SELECT * FROM '{name}'",
        ):
            with pytest.raises(QueryError):
                kit.engine.run(sql)
    for odd in (f"{published.parent}/../../../../../.env", f"{published}/../../x"):
        with pytest.raises(QueryError):
            kit.engine.run(f"SELECT * FROM read_text('{odd.replace(chr(39), chr(39) * 2)}')")
