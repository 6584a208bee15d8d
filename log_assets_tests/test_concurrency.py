"""Many at once, with interleavings forced: the published hour is the union, and nothing that is pointed at goes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from log_assets.catalog import Move, Moved
from log_assets.errors import LogAssetsError
from log_assets.lake import layout
from log_assets.records.token import Keyring
from log_assets.source import Body
from log_assets.steps.capture import capture_all, put_window
from log_assets.steps.compact import compact
from log_assets.steps.publish import Published, publish
from log_assets.steps.receipts import Receipt, pending
from log_assets.steps.tidy import tidy
from log_assets.steps.transform import transform_all
from log_assets_tests.kit import H0, Kit, body, record


class Hooked:
    """Passes everything on, and calls `before[name]` once before the method of that name."""

    def __init__(self, inner: Any, **before: Callable[[], object]) -> None:
        self._inner, self._before = inner, before

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._inner, name)
        if name not in self._before:
            return inner

        def hooked(*arguments: Any, **options: Any) -> Any:
            hook = self._before.pop(name, None)
            if hook:
                hook()
            return inner(*arguments, **options)

        return hooked


def published(outcome: dict[Any, Published | LogAssetsError]) -> Published:
    (found,) = outcome.values()
    assert isinstance(found, Published), found
    return found


def pointed_at_exists(kit: Kit) -> None:
    partition = kit.partition()
    assert kit.lake.exists(layout.lines_key(H0, partition.digest))


def test_a_compaction_suspended_before_its_move_while_another_publishes(kit: Kit) -> None:
    kit.land([record(1)])

    def meanwhile() -> None:
        kit.land([record(2)])
        kit.publish(H0)

    catalog: Any = Hooked(kit.catalog, move=meanwhile)
    published(publish(kit.lake, catalog, [H0], kit.now))
    assert kit.ids() == [1, 2]
    pointed_at_exists(kit)


def test_a_compaction_suspended_longer_than_any_grace_while_all_is_published_and_tidied(kit: Kit) -> None:
    kit.land([record(1)])
    kit.publish(H0)
    kit.land([record(2)])

    def meanwhile() -> None:
        kit.land([record(3)])
        kit.publish(H0)
        kit.age(30)
        assert tidy(kit.lake, kit.catalog, kit.now()).rows == 3

    catalog: Any = Hooked(kit.catalog, move=meanwhile)
    published(publish(kit.lake, catalog, [H0], kit.now))
    assert kit.ids() == [1, 2, 3]
    pointed_at_exists(kit)


def test_rows_that_are_tidied_between_listing_and_reading_are_read_from_the_generation(kit: Kit) -> None:
    kit.land([record(1)])

    def meanwhile() -> None:
        kit.publish(H0)
        kit.age(30)
        assert tidy(kit.lake, kit.catalog, kit.now()).rows == 1

    # The catalog is read after the listing of rows: whoever reads it between sees either the rows or the generation.
    lake: Any = Hooked(kit.lake, get=meanwhile)
    published(publish(lake, kit.catalog, [H0], kit.now))
    assert kit.ids() == [1]


def test_rows_that_come_after_the_listing_are_in_the_published_hour(kit: Kit) -> None:
    kit.land([record(1)])
    catalog: Any = Hooked(kit.catalog, move=lambda: kit.land([record(2)]))
    done = published(publish(kit.lake, catalog, [H0], kit.now))
    assert done.partition == kit.partition()
    assert kit.ids() == [1, 2]


def test_a_generation_that_is_tidied_before_it_is_published_is_made_again(kit: Kit) -> None:
    kit.land([record(1)])
    made = compact(kit.lake, kit.catalog, H0)
    kit.lake.delete(kit.keys("compact"))
    published(publish(kit.lake, kit.catalog, [H0], kit.now, {H0: made}))
    pointed_at_exists(kit)
    assert kit.ids() == [1]


def test_a_published_generation_that_someone_deleted_is_made_again_or_named(kit: Kit) -> None:
    kit.land([record(1)])
    before = kit.publish(H0)[H0].partition
    kit.lake.delete(kit.keys("compact"))
    published(publish(kit.lake, kit.catalog, [H0], kit.now))
    assert kit.partition() == before
    assert kit.ids() == [1]
    kit.age(30)
    tidy(kit.lake, kit.catalog, kit.now())
    kit.lake.delete(kit.keys("compact"))
    (outcome,) = publish(kit.lake, kit.catalog, [H0], kit.now).values()
    assert isinstance(outcome, LogAssetsError)
    assert before.digest in str(outcome)


def test_a_tidy_suspended_before_it_deletes_while_late_rows_come(kit: Kit) -> None:
    for number in (1, 2):
        kit.land([record(number)])
        kit.publish(H0)
    kit.age(30)

    def meanwhile() -> None:
        kit.land([record(3)])
        kit.publish(H0)

    inner_delete = kit.lake.delete
    calls = 0

    def delete(keys: Sequence[str]) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # The first removes the probe of the store's clock.
            meanwhile()
        inner_delete(keys)

    lake: Any = Deleting(kit.lake, delete)
    tidy(lake, kit.catalog, kit.now())
    assert calls >= 2
    pointed_at_exists(kit)
    assert kit.ids() == [1, 2, 3]


class Deleting:
    def __init__(self, inner: Any, delete: Callable[[Sequence[str]], None]) -> None:
        self._inner, self.delete = inner, delete

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_two_transforms_with_different_keys_lose_nothing(kit: Kit) -> None:
    other = Keyring.parse(Keyring.generate())
    items = json.loads(body(kit.keyring, [record(1), record(2)])) + json.loads(body(other, [record(3)]))
    window = put_window(kit.lake, json.dumps(items).encode(), kit.now())
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda key: kit.transform(window, key), [kit.keyring, other]))
    assert [one.rejected for one in found if isinstance(one, Receipt)] == [1, 2]
    kit.publish(H0)
    assert kit.ids() == [1, 2, 3]


@pytest.mark.slow
def test_everything_at_once_ends_in_the_union(kit: Kit) -> None:
    """Three capturers, two transforms, two publications and a tidy, over and over on one hour."""
    rounds, stop = 25, threading.Event()
    failures: list[BaseException] = []
    seen: list[set[int]] = []

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        return run

    def capturing(worker: int) -> Callable[[], None]:
        def run() -> None:
            for number in range(rounds):
                records = [record(i) for i in range(number * 10, number * 10 + 15)]
                capture_all(kit.lake, iter([Body(body(kit.keyring, records), str(worker))]), kit.now)

        return run

    def transforming() -> None:
        while not stop.is_set():
            transform_all(kit.lake, kit.keyring, pending(kit.lake))

    def publishing() -> None:
        while not stop.is_set():
            publish(kit.lake, kit.catalog, [H0], kit.now)
            if kit.catalog.get([H0]):
                pointed_at_exists(kit)
                seen.append(set(kit.ids()))

    def tidying() -> None:
        while not stop.is_set():
            # A clock that runs far ahead makes everything old enough by the pipeline's clock, as the store's says not.
            tidy(kit.lake, kit.catalog, kit.now() + timedelta(days=3))

    capturers = [threading.Thread(target=guarded(capturing(worker))) for worker in range(3)]
    others = [
        threading.Thread(target=guarded(work)) for work in (transforming, transforming, publishing, publishing, tidying)
    ]
    for thread in capturers + others:
        thread.start()
    for thread in capturers:
        thread.join()
    stop.set()
    for thread in others:
        thread.join()
    assert failures == []
    transform_all(kit.lake, kit.keyring, pending(kit.lake))
    kit.publish(H0)
    assert kit.ids() == list(range(rounds * 10 + 5))
    # A published hour never shrinks, whoever reads.
    assert all(found <= set(kit.ids()) for found in seen)


EVENTS = st.lists(st.sampled_from(["land", "again", "compact", "publish", "age", "tidy"]), max_size=14)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS)
def test_any_order_of_steps_loses_nothing(tmp_path_factory: pytest.TempPathFactory, events: list[str]) -> None:
    kit = Kit(tmp_path_factory.mktemp("order"))
    landed: set[int] = set()
    for event in events:
        match event:
            case "land":
                number = len(landed)
                kit.land([record(number), record(max(0, number - 1))])
                landed.add(number)
            case "again" if landed:
                kit.land([record(min(landed))])
            case "compact":
                compact(kit.lake, kit.catalog, H0)
            case "publish":
                kit.publish(H0)
                assert set(kit.ids()) == landed
            case "age":
                kit.age(30)
            case "tidy":
                tidy(kit.lake, kit.catalog, kit.now())
        if kit.catalog.get([H0]):
            pointed_at_exists(kit)
    kit.publish(H0)
    assert kit.ids() == sorted(landed)


def test_a_move_is_refused_when_it_expects_another_generation(kit: Kit) -> None:
    kit.land([record(1)])
    first = kit.publish(H0)[H0].partition
    kit.land([record(2)])
    kit.publish(H0)
    outcome = kit.catalog.move([Move(None, first)])
    assert outcome == {H0: Moved.CONFLICT}
