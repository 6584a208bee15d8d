"""The catalog's contract, over every adapter."""

import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from log_assets.catalog import Catalog, Move, Moved
from log_assets.errors import CatalogError, SettingError
from log_assets.hour import Hour
from log_assets.ports import open_catalog
from log_assets_tests.kit import partition

NOW = datetime(2023, 3, 10, 2, 0, 1, 5, tzinfo=UTC)
LAKE = "file:///lake"
H1, H2, H3 = Hour("2023-03-10-01"), Hour("2023-03-10-02"), Hour("2023-03-10-03")


@pytest.fixture(params=["sqlite", "glue"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Catalog:
    if request.param == "glue":
        request.getfixturevalue("aws")
        found = open_catalog(f"glue://logs_{uuid.uuid4().hex}", "s3://bucket/prefix")
    else:
        found = open_catalog(f"sqlite://{tmp_path}/catalog.db", LAKE)
    found.ensure()
    found.ensure()
    return found


def test_a_partition_comes_back_as_it_was(catalog: Catalog) -> None:
    new = partition(H1, "a")
    assert catalog.move([Move(None, new)]) == {H1: Moved.DONE}
    assert catalog.get([H1, H2]) == {H1: new}


def test_a_move_is_compare_and_set(catalog: Catalog) -> None:
    catalog.move([Move(None, partition(H1, "a"))])
    outcome = catalog.move(
        [Move(None, partition(H1, "b")), Move("a", partition(H2, "b")), Move(None, partition(H3, "c"))]
    )
    assert outcome == {H1: Moved.CONFLICT, H2: Moved.CONFLICT, H3: Moved.DONE}
    assert catalog.move([Move("x", partition(H1, "b"))]) == {H1: Moved.CONFLICT}
    assert catalog.move([Move("a", partition(H1, "b"))]) == {H1: Moved.DONE}
    assert {hour: found.digest for hour, found in catalog.get([H1, H2, H3]).items()} == {H1: "b", H3: "c"}


def test_partitions_come_in_order_of_time(catalog: Catalog) -> None:
    catalog.move([Move(None, partition(hour, "a")) for hour in (H3, H1, H2)])
    assert [found.hour for found in catalog.partitions()] == [H1, H2, H3]
    assert [found.hour for found in catalog.partitions(H2)] == [H2, H3]
    assert [found.hour for found in catalog.partitions(H2, H2)] == [H2]


def test_of_many_movers_at_once_one_wins(catalog: Catalog) -> None:
    barrier = threading.Barrier(8)
    outcomes = []

    def move(number: int) -> None:
        barrier.wait()
        outcomes.append(catalog.move([Move(None, partition(H1, str(number)))])[H1])

    threads = [threading.Thread(target=move, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(Moved.DONE) == 1
    assert outcomes.count(Moved.CONFLICT) == 7


ABOVE = 1001


def test_hundreds_of_hours_move_at_once(catalog: Catalog) -> None:
    hours = [H1.plus(number) for number in range(ABOVE)]
    assert set(catalog.move([Move(None, partition(hour, "a")) for hour in hours]).values()) == {Moved.DONE}
    outcome = catalog.move([Move("a" if hour != H2 else "x", partition(hour, "b")) for hour in hours])
    assert [hour for hour, moved in outcome.items() if moved is Moved.CONFLICT] == [H2]
    assert len(catalog.get(hours)) == ABOVE
    assert [found.digest for found in catalog.partitions(H1, H3)] == ["b", "a", "b"]


@pytest.mark.parametrize("url", ["mysql://x", "sqlite://", "sqlite://host/x.db", "glue://", "plain"])
def test_a_url_of_no_catalog_names_the_variable(url: str) -> None:
    with pytest.raises(SettingError, match="CATALOG_URL"):
        open_catalog(url, LAKE)


def test_a_catalog_that_was_not_made_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="run log-assets init"):
        open_catalog(f"sqlite://{tmp_path}/none/catalog.db", LAKE).get([H1])


def test_a_damaged_catalog_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"this is no database, " * 100)
    with pytest.raises(CatalogError, match="check CATALOG_URL"):
        open_catalog(f"sqlite://{tmp_path}/catalog.db", LAKE).ensure()
