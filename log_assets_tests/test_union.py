"""The union of an hour: the same bytes in memory and in buckets, by one process and by many; and what goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from log_assets.errors import Damaged, LakeError
from log_assets.lake import Lake, layout
from log_assets.records import ids, lines, row
from log_assets.records.lines import Packed
from log_assets.steps.buckets import Limits
from log_assets.steps.compact import Compacted, Sharing, compact_all
from log_assets.steps.pool import Pool, WorkerDied, serial_pool
from log_assets.steps.sorted_set import SortedSet
from log_assets.steps.union import unite
from log_assets_tests.kit import H0, Kit, older_line, record

WINDOW = "20230310T014900123Z-" + "0" * 32


def small_buckets(bucket: int = 2000, **others: int) -> Limits:
    """Nothing is united in memory, and little makes a bucket."""
    return Limits(small=0, bucket=bucket, buffer=512, **others)


def put(lake: Lake, some: Sequence[bytes], number: int = 0) -> SortedSet:
    packed = lines.pack(b"".join(sorted(set(some))))
    key = layout.rows_key(H0, f"20230310T0149{number:05}Z-{'0' * 32}", row.ROW_VERSION, packed.digest)
    lake.put(key, packed.data)
    return SortedSet(key, packed.digest, row.ROW_VERSION, len(packed.data))


def line(number: int) -> bytes:
    (found,) = row.encode([record(number)], record_landed())
    assert isinstance(found, row.Row)
    return found.line


def record_landed() -> datetime:
    from log_assets_tests.kit import BASE

    return BASE.replace(year=2090)


def members(together: Sequence[bytes], rows: int) -> Packed:
    """The file of sorted lines, by its definition."""
    content = b"".join(together)
    parts = [b"".join(together[start : start + rows]) for start in range(0, len(together) or 1, rows)]
    return Packed(b"".join(map(lines.member, parts)), lines.digest(content), len(content))


LINES = st.one_of(
    st.integers(0, 400).map(lambda number: b'{"record_id":%d}\n' % number),
    st.text(alphabet='abc"{}: ', max_size=30).map(lambda text: text.encode() + b"\n"),
    st.just(b"\n"),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sets=st.lists(st.lists(LINES, max_size=60), min_size=1, max_size=6),
    member=st.integers(1, 50),
    bucket=st.sampled_from([1, 50, 300, 5000]),
)
def test_buckets_make_what_memory_makes(
    tmp_path_factory: pytest.TempPathFactory, sets: list[list[bytes]], member: int, bucket: int
) -> None:
    kit = Kit(tmp_path_factory.mktemp("lake"))
    found = [put(kit.lake, some, number) for number, some in enumerate(sets)]
    together = sorted({line for some in sets for line in some})
    expected = members(together, member)
    in_memory = unite(kit.lake, found, serial_pool(), Limits(member_rows=member))
    in_buckets = unite(kit.lake, found, serial_pool(), small_buckets(bucket, member_rows=member))
    for united in (in_memory, in_buckets):
        assert united.packed == expected
        assert united.records == len(together)
        assert sorted(united.ids.tolist()) == sorted(ids.ids_of(b"".join(together), len(together)).tolist())
    assert in_memory.first[:1] == in_buckets.first[:1] == tuple(together[:1])


@pytest.mark.parametrize("processes", [1, 3])
def test_the_bytes_depend_on_no_number_of_processes(kit: Kit, processes: int) -> None:
    sets = [put(kit.lake, [line(i) for i in range(start, 3000, 7)], start) for start in range(7)]
    expected = unite(kit.lake, sets, serial_pool())
    with Pool(processes) as pool:
        found = unite(kit.lake, sets, pool, small_buckets(100_000))
    assert found.packed == expected.packed
    assert found.first[:1] == expected.first[:1]
    assert found.records == 3000


def test_a_bucket_that_is_far_too_large_is_split_again(kit: Kit) -> None:
    # The largest set, the only one that is sampled, has few lines of many sizes and tells nothing of the others: all
    # of their lines fall between two splitters, twenty times what a bucket should hold.
    sampled = put(kit.lake, [b'{"a":"%d' % i + b"-" * 20_000 + b'"}\n' for i in range(9)])
    others = [put(kit.lake, [line(i) for i in range(start, 2000, 5)], start + 1) for start in range(5)]
    sets = [sampled, *others]
    assert unite(kit.lake, sets, serial_pool(), small_buckets()).packed == unite(kit.lake, sets, serial_pool()).packed


def test_content_that_grows_beyond_memory_goes_to_buckets(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [put(kit.lake, [line(i) for i in range(start, 900, 3)], start) for start in range(3)]
    expected = unite(kit.lake, sets, serial_pool()).packed
    little = Limits(in_memory=50_000)
    assert unite(kit.lake, sets, serial_pool(), little).packed == expected
    # Only buckets need temporary files.
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    assert unite(kit.lake, sets, serial_pool()).packed == expected
    with pytest.raises(LakeError, match="set TMPDIR"):
        unite(kit.lake, sets, serial_pool(), little)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: lines.pack(b"x\n").data], ids=["cut", "other"])
def test_a_damaged_set_is_named_by_either_way(kit: Kit, damage: Callable[[bytes], bytes]) -> None:
    sets = [put(kit.lake, [line(i) for i in range(start, 900, 3)], start) for start in range(3)]
    path = kit.folder / "lake" / sets[1].key
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Damaged, match=sets[1].digest):
        unite(kit.lake, sets, serial_pool())
    with pytest.raises(Damaged, match=sets[1].digest):
        unite(kit.lake, sets, serial_pool(), small_buckets())
    assert kit.keys("compact") == []


def test_a_set_whose_last_line_does_not_end_is_named(kit: Kit) -> None:
    some = put(kit.lake, [line(1), line(2)[:-1]])
    with pytest.raises(Damaged, match=rf"{some.digest}.*its last line does not end"):
        unite(kit.lake, [some], serial_pool())


def test_an_old_row_version_is_encoded_anew_in_buckets_too(kit: Kit) -> None:
    numbers = range(200)
    today, new = put(kit.lake, [line(number) for number in numbers]), put(kit.lake, [line(2), line(300)], 2)
    # Without the first column they stand in another order.
    older = put(kit.lake, [older_line(record(number), "user_id") for number in numbers], 3)
    older = replace(older, version=row.ROW_VERSION - 1)
    expected = unite(kit.lake, [today, new], serial_pool()).packed
    assert unite(kit.lake, [older, new], serial_pool()).packed == expected
    assert unite(kit.lake, [older, new], serial_pool(), small_buckets()).packed == expected
    with pytest.raises(LakeError, match="newer version"):
        unite(kit.lake, [replace(today, version=row.ROW_VERSION + 1), new], serial_pool(), small_buckets())


def test_no_room_for_temporary_files_is_one_clear_error(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [put(kit.lake, [line(i) for i in range(9)])]
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with pytest.raises(LakeError, match="set TMPDIR"):
        unite(kit.lake, sets, serial_pool(), small_buckets())


def test_a_system_without_affinity_has_its_cores_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS: there `os` has no `sched_getaffinity`."""
    monkeypatch.delattr(os, "sched_getaffinity")
    assert Pool().processes >= 1


def kill_yourself(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_dies_is_one_clear_error_and_the_pool_works_again() -> None:
    with Pool(2) as pool:
        with pytest.raises(WorkerDied, match="run it again"):
            list(pool.map(kill_yourself, range(6)))
        assert list(pool.map(kill_yourself, [7, 8, 9])) == [7, 8, 9]


class Deadly:
    """A lake of which a worker dies as soon as it reads."""

    def __init__(self, inner: Lake) -> None:
        self._inner, self._parent = inner, os.getpid()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def get(self, key: str) -> bytes:
        if os.getpid() != self._parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._inner.get(key)


def test_a_worker_that_dies_fails_its_hours_and_leaves_no_half_object(kit: Kit) -> None:
    hours = [H0, H0.plus(1), H0.plus(2)]
    kit.land([record(number * 3600 + i) for number in range(3) for i in range(20)])
    shared = Sharing(together=0)
    with Pool(2) as pool:
        outcomes = list(compact_all(Deadly(kit.lake), kit.catalog, hours, pool, shared))
        assert [type(outcome) for outcome in outcomes] == [WorkerDied] * 3
        assert kit.keys("compact") == []
        done = [outcome for outcome in compact_all(kit.lake, kit.catalog, hours, pool, shared)]
        assert [one.generation.summary.records for one in done if isinstance(one, Compacted)] == [20] * 3


CHILD = """
import sys, time
from log_assets.steps.pool import Pool
with Pool(2) as pool:
    print("begun", flush=True)
    list(pool.map(time.sleep, [600] * 4))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_process_it_works_for(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    family = psutil.Process(process.pid)
    end = time.monotonic() + 60
    while sum("loky" in " ".join(child.cmdline()) for child in family.children(recursive=True)) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    workers = family.children(recursive=True)
    process.send_signal(number)
    process.wait(20)
    end = time.monotonic() + 20
    while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
        assert time.monotonic() < end
        time.sleep(0.1)
