"""The union of an hour: the same bytes in memory and in buckets, by one process and by many; and what goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from log_assets.errors import Damaged, LakeError
from log_assets.lake import Lake, layout
from log_assets.records import ids, lines, lineset, row
from log_assets.records.lines import Packed
from log_assets.steps import union
from log_assets.steps.compact import compact_all
from log_assets.steps.pool import Pool, WorkerDied, alone
from log_assets.steps.union import SortedSet, unite
from log_assets_tests.kit import H0, Kit, record

WINDOW = "20230310T014900123Z-" + "0" * 32


def small_buckets(monkeypatch: pytest.MonkeyPatch, bucket: int = 2000) -> None:
    monkeypatch.setattr(union, "_SMALL", 0)
    monkeypatch.setattr(union, "_BUCKET", bucket)
    monkeypatch.setattr(union, "_BUFFER", 512)


def put(lake: Lake, some: Sequence[bytes], number: int = 0) -> SortedSet:
    packed = lines.pack(b"".join(sorted(set(some))))
    key = layout.rows_key(H0, f"20230310T0149{number:05}Z-{'0' * 32}", row.ROW_VERSION, packed.digest)
    lake.put(key, packed.data)
    return SortedSet(key, packed.digest, row.ROW_VERSION, len(packed.data))


def line(number: int) -> bytes:
    (found,) = row.encode([record(number)], record_landed())
    assert isinstance(found, row.Row)
    return found.line


def record_landed() -> object:
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lineset, "MEMBER_ROWS", member)
        found = [put(kit.lake, some, number) for number, some in enumerate(sets)]
        together = sorted({line for some in sets for line in some})
        expected = members(together, member)
        in_memory = unite(kit.lake, found, alone())
        small_buckets(patch, bucket)
        in_buckets = unite(kit.lake, found, alone())
    for united in (in_memory, in_buckets):
        assert united.packed == expected
        assert united.records == len(together)
        assert sorted(united.ids.tolist()) == sorted(ids.ids_of(b"".join(together), len(together)).tolist())
    assert in_memory.first[:1] == in_buckets.first[:1] == tuple(together[:1])


@pytest.mark.parametrize("processes", [1, 3])
def test_the_bytes_depend_on_no_number_of_processes(kit: Kit, monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    sets = [put(kit.lake, [line(i) for i in range(start, 3000, 7)], start) for start in range(7)]
    expected = unite(kit.lake, sets, alone())
    small_buckets(monkeypatch, 100_000)
    with Pool(processes) as pool:
        found = unite(kit.lake, sets, pool)
    assert found.packed == expected.packed
    assert found.first[:1] == expected.first[:1]
    assert found.records == 3000


def test_a_bucket_that_is_far_too_large_is_split_again(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [put(kit.lake, [line(i) for i in range(start, 2000, 5)], start) for start in range(5)]
    expected = unite(kit.lake, sets, alone()).packed
    small_buckets(monkeypatch)
    # No splitter at all: one bucket, two hundred times what it should be.
    monkeypatch.setattr(union, "_splitters", lambda *_: [])
    assert unite(kit.lake, sets, alone()).packed == expected


def test_content_that_grows_beyond_memory_goes_to_buckets(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [put(kit.lake, [line(i) for i in range(start, 900, 3)], start) for start in range(3)]
    expected = unite(kit.lake, sets, alone()).packed
    monkeypatch.setattr(union, "_IN_MEMORY", 50_000)
    called = []
    distributed = union._distributed
    monkeypatch.setattr(union, "_distributed", lambda *given: called.append(1) or distributed(*given))
    assert unite(kit.lake, sets, alone()).packed == expected
    assert called


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: lines.pack(b"x\n").data], ids=["cut", "other"])
def test_a_damaged_set_is_named_by_either_way(kit: Kit, monkeypatch: pytest.MonkeyPatch, damage: object) -> None:
    sets = [put(kit.lake, [line(i) for i in range(start, 900, 3)], start) for start in range(3)]
    path = kit.folder / "lake" / sets[1].key
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(Damaged, match=sets[1].digest):
        unite(kit.lake, sets, alone())
    small_buckets(monkeypatch)
    with pytest.raises(Damaged, match=sets[1].digest):
        unite(kit.lake, sets, alone())
    assert kit.keys("compact") == []


def test_a_set_whose_last_line_does_not_end_is_named(kit: Kit) -> None:
    some = put(kit.lake, [line(1), line(2)[:-1]])
    with pytest.raises(Damaged, match=rf"{some.digest}.*its last line does not end"):
        unite(kit.lake, [some], alone())


def test_an_old_row_version_is_encoded_anew_in_buckets_too(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    some = put(kit.lake, [line(1), line(2)])
    old = SortedSet(some.key, some.digest, 0, some.size)
    new = put(kit.lake, [line(2), line(3)], 2)
    expected = unite(kit.lake, [some, new], alone()).packed
    small_buckets(monkeypatch)
    assert unite(kit.lake, [old, new], alone()).packed == expected
    with pytest.raises(LakeError, match="newer version"):
        unite(kit.lake, [SortedSet(some.key, some.digest, 99, some.size), new], alone())


def test_no_room_for_temporary_files_is_one_clear_error(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [put(kit.lake, [line(i) for i in range(9)])]
    small_buckets(monkeypatch)
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with pytest.raises(LakeError, match="set TMPDIR"):
        unite(kit.lake, sets, alone())


def kill_yourself(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_dies_is_one_clear_error_and_the_pool_works_again() -> None:
    with Pool(2) as pool:
        with pytest.raises(WorkerDied, match="run it again"):
            list(pool.map(kill_yourself, range(6)))
        assert list(pool.map(kill_yourself, [7, 8, 9])) == [7, 8, 9]


def test_a_worker_that_dies_fails_its_hours_and_leaves_no_half_object(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = [H0, H0.plus(1), H0.plus(2)]
    kit.land([record(number * 3600 + i) for number in range(3) for i in range(20)])
    monkeypatch.setattr("log_assets.steps.compact._WORTH_SHARING", 0)
    with Pool(2) as pool, monkeypatch.context() as patch:
        patch.setattr("log_assets.steps.compact._compact_alone", _die)
        outcomes = list(compact_all(kit.lake, kit.catalog, hours, pool))
        assert [type(outcome) for outcome in outcomes] == [WorkerDied] * 3
        assert kit.keys("compact") == []
        patch.undo()
        assert [outcome.generation.summary.records for outcome in compact_all(kit.lake, kit.catalog, hours, pool)] == [  # type: ignore[union-attr]
            20
        ] * 3


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


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
