"""The union of an hour's sorted sets of lines, in bounded memory and on all cores.

Small hours are united in memory. A big one is distributed first: from a sample of its lines come *splitters*, and every
set, being sorted, is cut at them into one piece a *bucket*, by binary search and without looking at each line. Buckets
lie in temporary files; each is small enough to be sorted in memory, and, its lines all being smaller than those of the
next one, the buckets in a row are the union. Distributing and sorting go to the pool's processes, so at most a bucket a
process is in memory; members are compressed as the buckets come. The bytes depend on the lines alone.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np

from log_assets.errors import Damaged, LakeError
from log_assets.lake import Lake
from log_assets.records import lines, lineset, row
from log_assets.records.ids import Ids
from log_assets.records.lines import Packed
from log_assets.records.lineset import Letters, LineSet
from log_assets.steps.pool import Pool

# What is united in memory: so much compressed, as the listing tells, and so much content, as it turns out.
_SMALL = 8 << 20
_IN_MEMORY = 96 << 20
# Content of a bucket: sorting takes some three times as much.
_BUCKET = 32 << 20
_BUFFER = 1 << 20
_ROWS_AT_ONCE = 8192
_SAMPLED_SETS = 8
_SAMPLED_LINES = 4000
# Bytes of content between two sampled lines, of a large set and of a small one.
_FEW, _MANY = 64 << 10, 2 << 10
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SortedSet:
    """One object of sorted, unique lines: its key, the digest its name promises, its row version and stored bytes."""

    key: str
    digest: str
    version: int
    size: int


@dataclass(frozen=True, slots=True)
class United:
    """The union: compressed, how many lines, their record ids, and the first few."""

    packed: Packed
    records: int
    ids: Ids
    first: tuple[bytes, ...]


def unite(lake: Lake, sets: Sequence[SortedSet], pool: Pool) -> United:
    """The union of `sets`, as an hour's file.

    Raises:
        Damaged, NotFound: an object is not what its name promises, or gone.
        LakeError: it could not be read, was written by a newer version, or there is no room for temporary files.
        WorkerDied: a process of the pool died.
    """
    if sum(one.size for one in sets) <= _SMALL:
        try:
            united = lineset.union((_content(lake, one) for one in sets), _IN_MEMORY)
            return United(lineset.pack(united), len(united), united.record_ids(), united.first(_SHOWN))
        except lines.TooLarge:
            pass
    try:
        with tempfile.TemporaryDirectory(prefix="log_assets-") as folder:
            return _distributed(lake, sets, pool, Path(folder))
    except OSError as error:
        raise LakeError(
            f"temporary files could not be written ({error.strerror}): make room, or set TMPDIR to where there is some"
        ) from None


def _content(lake: Lake, one: SortedSet) -> bytes:
    content = lines.unpack(lake.get(one.key), one.digest, one.key)
    if content and not content.endswith(b"\n"):
        raise Damaged(f"{one.key} is damaged (its last line does not end): restore it from a copy, or delete it")
    return _current(content, one)


def _current(content: bytes, one: SortedSet) -> bytes:
    """Lines of an older row version as this one writes them, sorted again."""
    if one.version > row.ROW_VERSION:
        raise LakeError(f"{one.key} was written by a newer version of this program (row version {one.version}): update")
    if one.version == row.ROW_VERSION:
        return content
    return b"".join(sorted(row.reencode(lines.split(content))))


def _distributed(lake: Lake, sets: Sequence[SortedSet], pool: Pool, folder: Path) -> United:
    splitters = _splitters(lake, sets, pool.processes)
    # The largest first, so that no process is left alone with much at the end.
    groups = _groups(sets, 4 * pool.processes)
    tasks = [(group, folder / f"from-{number}") for number, group in enumerate(groups)]
    for _ in pool.map(partial(_distribute, lake, splitters), tasks):
        pass
    buckets = [
        ([folder / f"from-{task}-{number}" for task in range(len(tasks))], folder / f"bucket-{number}")
        for number in range(len(splitters) + 1)
    ]
    return _pack(pool.map(_sort_bucket, buckets), pool.processes)


def _groups(sets: Sequence[SortedSet], number: int) -> list[list[SortedSet]]:
    groups: list[list[SortedSet]] = [[] for _ in range(number)]
    weights = [0] * number
    for one in sorted(sets, key=lambda one: -one.size):
        least = weights.index(min(weights))
        groups[least].append(one)
        weights[least] += one.size
    return [group for group in groups if group]


def _splitters(lake: Lake, sets: Sequence[SortedSet], processes: int) -> list[bytes]:
    """Lines that cut the union into buckets of about `_BUCKET` bytes, and into as many as there are processes."""
    largest = max(sets, key=lambda one: one.size)
    others = [one for one in sets if one is not largest]
    sampled = [largest, *others[:: len(others) // _SAMPLED_SETS + 1]]
    stored = sum(one.size for one in sampled)
    weight = sum(one.size for one in sets) / stored
    sample: list[bytes] = []
    size = 0
    for one in sampled:
        every = _FEW if one.size > _BUFFER else _MANY
        some: list[bytes] = []
        for chunk in _chunks(lake, one):
            size += len(chunk)
            some += [_line_at(chunk, position) for position in range(0, len(chunk), every)]
        # From each as many as it has a share in the whole.
        sample += some[:: len(some) * stored // (_SAMPLED_LINES * one.size) + 1]
    number = max(int(size * weight) // _BUCKET + 1, processes)
    sample.sort()
    return sorted({sample[len(sample) * i // number] for i in range(1, number)})


def _line_at(chunk: bytes, position: int) -> bytes:
    begin = chunk.rfind(b"\n", 0, position) + 1
    return chunk[begin : chunk.find(b"\n", begin) + 1]


def _chunks(lake: Lake, one: SortedSet) -> Iterator[bytes]:
    """The content of a set in sorted chunks of whole lines; at its end it is checked against its digest."""
    if one.size <= _BUFFER or one.version != row.ROW_VERSION:
        yield _content(lake, one)
        return
    sha, rest = hashlib.sha256(), b""
    try:
        for piece in lines.inflate(lake.pieces(one.key)):
            sha.update(piece)
            end = piece.rfind(b"\n") + 1
            if end:
                yield rest + piece[:end]
                rest = piece[end:]
            else:
                rest += piece
    except ValueError as error:
        raise Damaged(f"{one.key} is damaged ({error}): restore it from a copy, or delete it") from None
    if rest or sha.hexdigest()[: lines.DIGEST_LENGTH] != one.digest:
        raise Damaged(f"{one.key} is damaged: its content does not match the digest {one.digest} in its name")


def _distribute(lake: Lake, splitters: Sequence[bytes], task: tuple[Sequence[SortedSet], Path]) -> None:
    """Cut sets at the splitters, and add each piece to this task's file of its bucket."""
    sets, path = task
    chunks = (chunk for one in sets for chunk in _chunks(lake, one))
    _add_pieces(_worth_cutting(chunks, len(splitters)), splitters, path)


def _worth_cutting(chunks: Iterable[bytes], cuts: int) -> Iterator[bytes]:
    """Sorted chunks; small ones are united first, for a binary search a cut costs more than sorting few lines."""
    enough, small, size = cuts << 12, [], 0
    for chunk in chunks:
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


def _add_pieces(chunks: Iterable[bytes], splitters: Sequence[bytes], path: Path) -> None:
    with ExitStack() as stack:
        files = [
            stack.enter_context(Path(f"{path}-{number}").open("ab", buffering=_BUFFER // 4))
            for number in range(len(splitters) + 1)
        ]
        for chunk in chunks:
            start = 0
            view = memoryview(chunk)
            for splitter, file in zip(splitters, files, strict=False):
                end = _find(chunk, splitter, start)
                file.write(view[start:end])
                start = end
            files[-1].write(view[start:])


def _find(chunk: bytes, line: bytes, start: int) -> int:
    """Where in sorted lines, from `start` on, the first stands that is not less than `line`."""
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


def _sort_bucket(task: tuple[Sequence[Path], Path]) -> _Bucket:
    paths, out = task
    lengths, found = [], []
    with out.open("wb") as file:
        for part in _sorted(paths, out, may_split=True):
            file.writelines(part.contents(_ROWS_AT_ONCE))
            lengths.append(part.lengths)
            found.append(part.record_ids())
    return _Bucket(out, np.concatenate(lengths), np.concatenate(found))


def _sorted(paths: Sequence[Path], out: Path, *, may_split: bool) -> Iterator[LineSet]:
    """The lines of a bucket's files; a bucket much larger than it should be is split again, into sets in a row."""
    size = sum(path.stat().st_size for path in paths)
    if not may_split or size <= 4 * _BUCKET:
        yield LineSet.of(_taken(paths, size))
        return
    number = size // _BUCKET + 1
    sample = sorted(
        _line_at(chunk, 0) for path in paths for chunk in _whole_lines(path, max(1, size // _SAMPLED_LINES))
    )
    splitters = sorted({sample[len(sample) * i // number] for i in range(1, number)})
    base = Path(f"{out}-again")
    for path in paths:
        # A file holds pieces of many sets, one after the other: each chunk of it is sorted first.
        chunks = (lineset.union([chunk]).content() for chunk in _whole_lines(path, 8 * _BUFFER))
        _add_pieces(chunks, splitters, base)
        path.unlink()
    for part in range(len(splitters) + 1):
        yield from _sorted([Path(f"{base}-{part}")], out, may_split=False)


def _taken(paths: Iterable[Path], size: int) -> Letters:
    """What files of `size` bytes in all hold; they are gone then."""
    letters, read = np.empty(size, np.uint8), 0
    for path in paths:
        with path.open("rb") as file:
            read += file.readinto(letters[read:].data)
        path.unlink()
    return letters


def _whole_lines(path: Path, size: int) -> Iterator[bytes]:
    """A file in chunks of about `size` bytes that end with a line."""
    with path.open("rb") as file:
        while chunk := file.read(size):
            yield chunk + file.readline() if not chunk.endswith(b"\n") else chunk


def _pack(buckets: Iterable[_Bucket], threads: int) -> United:
    """Members of `MEMBER_ROWS` lines over buckets in a row, compressed as they come."""
    sha, size, records = hashlib.sha256(), 0, 0
    packed = BytesIO()
    members: deque[Future[bytes]] = deque()
    found: list[Ids] = []
    first: tuple[bytes, ...] = ()
    waiting: list[bytes] = []
    missing = lineset.MEMBER_ROWS
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
                        first = tuple(lines.split(content[: int(ends[min(_SHOWN, take) - 1])]))
                    waiting.append(content)
                    begun, done, missing = end, done + take, missing - take
                    if not missing:
                        members.append(executor.submit(lines.member, b"".join(waiting)))
                        waiting, missing = [], lineset.MEMBER_ROWS
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
