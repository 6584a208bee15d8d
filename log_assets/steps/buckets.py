"""The union of sets that are too large for memory.

The sets are distributed first: from a sample of their lines come *splitters*, and every set, being sorted, is cut at
them into one piece a *bucket*, by binary search and without reading each line. Buckets lie in temporary files; each is
small enough to be sorted in memory, and, its lines all being smaller than those of the next one, the buckets in a row
are the union. Distributing and sorting go to the pool's processes, so at most a bucket a process is in memory; members
are compressed as the buckets come.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np

from log_assets.lake import Lake
from log_assets.records import lines, lineset
from log_assets.records.ids import Ids
from log_assets.records.lines import Packed
from log_assets.records.lineset import MEMBER_ROWS, ByteArray, LineSet
from log_assets.steps.pool import Pool
from log_assets.steps.sorted_set import SortedSet, chunks

SHOWN = 5
"""Lines of a union that are kept to be shown."""

_ROWS_AT_ONCE = 8192
_SAMPLED_SETS = 8
_SAMPLED_LINES = 4000
# Bytes of content between two sampled lines, of a large set and of a small one.
_SPARSE, _DENSE = 64 << 10, 2 << 10


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a union is held at once, in bytes; the file that comes of it depends on `member_rows` alone.

    Attributes:
        small: sets of so much in all, compressed as the listing tells, are united in memory.
        in_memory: unless their content, as it turns out, is more than this.
        bucket: content of a bucket; sorting takes some three times as much.
        buffer: a larger set is read as it comes, and never whole.
        member_rows: lines of a gzip member. Part of the format: changed by tests alone.
    """

    small: int = 8 << 20
    in_memory: int = 96 << 20
    bucket: int = 32 << 20
    buffer: int = 1 << 20
    member_rows: int = MEMBER_ROWS


@dataclass(frozen=True, slots=True)
class United:
    """The union: compressed, how many lines, their record ids, and the first few."""

    packed: Packed
    records: int
    ids: Ids
    first: tuple[bytes, ...]


def unite_in_buckets(lake: Lake, sets: Sequence[SortedSet], pool: Pool, limits: Limits, folder: Path) -> United:
    """The union of `sets`, with temporary files in `folder`. Raises OSError when there is no room for them."""
    splitters = _splitters(lake, sets, pool.processes, limits)
    # The largest first, so that no process is left alone with much at the end.
    groups = _groups(sets, 4 * pool.processes)
    tasks = [(group, folder / f"from-{number}") for number, group in enumerate(groups)]
    for _ in pool.map(partial(_distribute, lake, splitters, limits), tasks):
        pass
    buckets = [
        ([folder / f"from-{task}-{number}" for task in range(len(tasks))], folder / f"bucket-{number}")
        for number in range(len(splitters) + 1)
    ]
    return _pack(pool.map(partial(_sort_bucket, limits), buckets), pool.processes, limits.member_rows)


def _groups(sets: Sequence[SortedSet], number: int) -> list[list[SortedSet]]:
    groups: list[list[SortedSet]] = [[] for _ in range(number)]
    weights = [0] * number
    for one in sorted(sets, key=lambda one: -one.size):
        least = weights.index(min(weights))
        groups[least].append(one)
        weights[least] += one.size
    return [group for group in groups if group]


def _splitters(lake: Lake, sets: Sequence[SortedSet], processes: int, limits: Limits) -> list[bytes]:
    """Lines that cut the union into buckets of about `limits.bucket` bytes, and into as many as there are processes."""
    largest = max(sets, key=lambda one: one.size)
    others = [one for one in sets if one is not largest]
    sampled = [largest, *others[:: len(others) // _SAMPLED_SETS + 1]]
    stored = sum(one.size for one in sampled)
    weight = sum(one.size for one in sets) / stored
    sample: list[bytes] = []
    size = 0
    for one in sampled:
        every = _SPARSE if one.size > limits.buffer else _DENSE
        some: list[bytes] = []
        for chunk in chunks(lake, one, limits.buffer):
            size += len(chunk)
            some += [_line_at(chunk, position) for position in range(0, len(chunk), every)]
        # From each as many as it has a share in the whole.
        sample += some[:: len(some) * stored // (_SAMPLED_LINES * one.size) + 1]
    number = max(int(size * weight) // limits.bucket + 1, processes)
    sample.sort()
    return sorted({sample[len(sample) * i // number] for i in range(1, number)})


def _line_at(chunk: bytes, position: int) -> bytes:
    begin = chunk.rfind(b"\n", 0, position) + 1
    return chunk[begin : chunk.find(b"\n", begin) + 1]


def _distribute(lake: Lake, splitters: Sequence[bytes], limits: Limits, task: tuple[Sequence[SortedSet], Path]) -> None:
    """Cut sets at the splitters, and add each piece to this task's file of its bucket."""
    sets, path = task
    found = (chunk for one in sets for chunk in chunks(lake, one, limits.buffer))
    _add_pieces(_worth_cutting(found, len(splitters)), splitters, path, limits.buffer)


def _worth_cutting(found: Iterable[bytes], cuts: int) -> Iterator[bytes]:
    """Sorted chunks, the small ones united until they are large: each chunk costs a binary search for each splitter,
    which is more than sorting few lines costs."""
    enough, small, size = cuts << 12, [], 0
    for chunk in found:
        if len(chunk) >= enough:
            yield chunk
            continue
        small.append(chunk)
        size += len(chunk)
        if size >= enough:
            yield lineset.union(small).content()
            small, size = [], 0
    if small:
        yield lineset.union(small).content()


def _add_pieces(found: Iterable[bytes], splitters: Sequence[bytes], path: Path, buffer: int) -> None:
    with ExitStack() as stack:
        files = [
            stack.enter_context(Path(f"{path}-{number}").open("ab", buffering=buffer // 4))
            for number in range(len(splitters) + 1)
        ]
        for chunk in found:
            start = 0
            view = memoryview(chunk)
            for splitter, file in zip(splitters, files, strict=False):
                end = _find(chunk, splitter, start)
                file.write(view[start:end])
                start = end
            files[-1].write(view[start:])


def _find(chunk: bytes, line: bytes, start: int) -> int:
    """The position in sorted lines, from `start` on, of the first that is not less than `line`."""
    low, high = start, len(chunk)
    while low < high:
        middle = (low + high) // 2
        begin = chunk.rfind(b"\n", low, middle) + 1 or low
        end = chunk.find(b"\n", middle) + 1
        if chunk[begin:end] < line:
            low = end
        else:
            high = begin
    return low


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A sorted bucket: the file that holds it, the length of each line, and the record ids."""

    path: Path
    lengths: np.ndarray
    ids: Ids


def _sort_bucket(limits: Limits, task: tuple[Sequence[Path], Path]) -> _Bucket:
    paths, out = task
    lengths, found = [], []
    with out.open("wb") as file:
        for part in _sorted(paths, out, limits, may_split=True):
            file.writelines(part.contents(_ROWS_AT_ONCE))
            lengths.append(part.lengths)
            found.append(part.record_ids())
    return _Bucket(out, np.concatenate(lengths), np.concatenate(found))


def _sorted(paths: Sequence[Path], out: Path, limits: Limits, *, may_split: bool) -> Iterator[LineSet]:
    """The lines of a bucket's files; a bucket much larger than it should be is split again, into sets in a row."""
    size = sum(path.stat().st_size for path in paths)
    if not may_split or size <= 4 * limits.bucket:
        yield LineSet.of(_taken(paths, size))
        return
    number = size // limits.bucket + 1
    sample = sorted(
        _line_at(chunk, 0) for path in paths for chunk in _whole_lines(path, max(1, size // _SAMPLED_LINES))
    )
    splitters = sorted({sample[len(sample) * i // number] for i in range(1, number)})
    base = Path(f"{out}-again")
    for path in paths:
        # A file holds pieces of many sets, one after the other: each chunk of it is sorted first.
        pieces = (lineset.union([chunk]).content() for chunk in _whole_lines(path, 8 * limits.buffer))
        _add_pieces(pieces, splitters, base, limits.buffer)
        path.unlink()
    for part in range(len(splitters) + 1):
        yield from _sorted([Path(f"{base}-{part}")], out, limits, may_split=False)


def _taken(paths: Iterable[Path], size: int) -> ByteArray:
    """The content of files of `size` bytes in all, which are removed."""
    content, read = np.empty(size, np.uint8), 0
    for path in paths:
        with path.open("rb") as file:
            read += file.readinto(content[read:].data)
        path.unlink()
    return content


def _whole_lines(path: Path, size: int) -> Iterator[bytes]:
    """A file in chunks of about `size` bytes that end with a line."""
    with path.open("rb") as file:
        while chunk := file.read(size):
            yield chunk + file.readline() if not chunk.endswith(b"\n") else chunk


def _pack(buckets: Iterable[_Bucket], threads: int, member_rows: int) -> United:
    """Members of `member_rows` lines over buckets in a row, compressed as they come."""
    sha, size, records = hashlib.sha256(), 0, 0
    packed = BytesIO()
    members: deque[Future[bytes]] = deque()
    found: list[Ids] = []
    first: tuple[bytes, ...] = ()
    waiting: list[bytes] = []
    missing = member_rows
    with ThreadPoolExecutor(threads) as executor:
        for bucket in buckets:
            found.append(bucket.ids)
            records += len(bucket.lengths)
            ends = np.cumsum(bucket.lengths, dtype=np.int64)
            with bucket.path.open("rb") as file:
                begun, done = 0, 0
                while done < len(ends):
                    take = min(missing, len(ends) - done)
                    end = int(ends[done + take - 1])
                    content = file.read(end - begun)
                    sha.update(content)
                    size += len(content)
                    if not first:
                        first = tuple(lines.split(content[: int(ends[min(SHOWN, take) - 1])]))
                    waiting.append(content)
                    begun, done, missing = end, done + take, missing - take
                    if not missing:
                        members.append(executor.submit(lines.member, b"".join(waiting)))
                        waiting, missing = [], member_rows
                        # No more than a few members wait uncompressed.
                        if len(members) > threads:
                            packed.write(members.popleft().result())
            bucket.path.unlink()
        if waiting or not records:
            members.append(executor.submit(lines.member, b"".join(waiting)))
        for one in members:
            packed.write(one.result())
    return United(
        Packed(packed.getvalue(), sha.hexdigest()[: lines.DIGEST_LENGTH], size), records, np.concatenate(found), first
    )
