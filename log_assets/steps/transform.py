"""Transform: the rows of each captured window, by event hour, and a receipt for what was done.

A pure function of window, keys and row version: doing it again, or twice at once with different keys, only adds
files. The receipt is written last, so a window without one is work to do, whatever was interrupted before.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from log_assets.errors import LogAssetsError, failure_of
from log_assets.hour import Clock, Hour
from log_assets.lake import Lake, layout
from log_assets.records import codec, envelope, ids, lines, row
from log_assets.records.body import MAX_BODY
from log_assets.records.envelope import Unread
from log_assets.records.ids import Ids
from log_assets.records.reject import Reason
from log_assets.records.token import Keyring
from log_assets.source import Body
from log_assets.steps import receipts
from log_assets.steps.capture import Captured, capture_all
from log_assets.steps.pool import Pool, serial_pool
from log_assets.steps.receipts import Receipt

_AT_ONCE = 4096
# Windows that could not be read and are named.
_SHOWN = 10
# So many windows are worth starting processes for; each takes a share at once.
_SHARED_WINDOWS = 64
_SHARE = 8


@dataclass(frozen=True, slots=True)
class WrongKey:
    """A window of which every record failed by key: it gets no receipt and is tried again until the key is right."""

    window: str
    records: int


def transform(lake: Lake, keyring: Keyring, window: str, body: bytes | None = None) -> Receipt | WrongKey:
    """Decrypt and shorten one window's records, put them as rows files, and leave a receipt.

    Args:
        lake, keyring, window: where, with what, and which.
        body: what was put as this window just now, when the caller still has it: it is not read again.

    Raises:
        Damaged: the window's object is not what its name promises.
        LakeError: the lake could not be read or written.
    """
    if body is None:
        key = layout.raw_key(window)
        body = lines.unpack(lake.get(key), layout.window_digest(window), key, MAX_BODY)
    found = envelope.read(body)
    items, rejects = found.items, list(found.unread)
    records = len(items) + len(rejects)
    landed = layout.window_landed(window)
    by_hour: defaultdict[Hour, list[bytes]] = defaultdict(list)
    found_ids: list[Ids] = []
    # A few thousand at a time stay in the processor's cache, and bound what lies decrypted in memory.
    for start in range(0, len(items), _AT_ONCE):
        some = items[start : start + _AT_ONCE]
        encoded = codec.encode(keyring.decrypt(envelope.tokens(some)), landed)
        for hour, encoded_lines in encoded.lines.items():
            by_hour[hour] += encoded_lines
        found_ids.append(encoded.ids)
        rejects += [(reject, some[position]) for position, reject in sorted(encoded.rejects.items())]
    if items and len(rejects) == len(items) == records and all(reject.reason is Reason.KEY for reject, _ in rejects):
        return WrongKey(window, len(items))

    rows_keys = []
    for hour, encoded_lines in sorted(by_hour.items()):
        packed = lines.pack(lines.content_of(encoded_lines))
        rows_key = layout.rows_key(hour, window, row.ROW_VERSION, packed.digest)
        lake.put(rows_key, packed.data)
        rows_keys.append(rows_key)

    receipt = Receipt(
        window=window,
        rows=tuple(rows_keys),
        records=records,
        kept=records - len(rejects),
        rejects=dict(sorted(Counter(str(reject.reason) for reject, _ in rejects).items())),
        id_ranges=ids.ranges_of(np.concatenate(found_ids)) if found_ids else (),
        rejects_key=_put_rejects(lake, window, rejects, body) if rejects else None,
        row_version=row.ROW_VERSION,
    )
    receipts.put(lake, receipt)
    return receipt


@dataclass(slots=True)
class Transformed:
    """What became of several windows: receipts, windows that wait for the right key, and those that failed."""

    receipts: list[Receipt] = field(default_factory=list)
    waiting: list[WrongKey] = field(default_factory=list)
    failed: dict[str, LogAssetsError] = field(default_factory=dict)

    @property
    def hours(self) -> list[Hour]:
        return sorted({hour for receipt in self.receipts for hour in receipt.hours})

    def add(self, other: Transformed) -> None:
        self.receipts += other.receipts
        self.waiting += other.waiting
        self.failed |= other.failed

    def problems(self) -> list[str]:
        """One sentence for each kind of window that was left as it is."""
        found = [str(error) for error in self.failed.values()][:_SHOWN]
        if len(self.failed) > _SHOWN:
            found.append(f"{len(self.failed) - _SHOWN} more windows could not be read")
        if self.waiting:
            records = sum(window.records for window in self.waiting)
            found.append(
                f"{len(self.waiting)} windows ({records} records) wait: no record of theirs opens with f_key; "
                "set the right key (several with commas) and they are read by themselves"
            )
        return found


def transform_all(
    lake: Lake,
    keyring: Keyring,
    windows: Iterable[str],
    enough: Callable[[], bool] = lambda: False,
    *,
    pool: Pool | None = None,
    progress: Callable[[int], None] = lambda windows: None,
) -> Transformed:
    """Transform windows, each by itself, until `enough` says so; many of them are shared among the pool's processes.

    `progress` is told of every few windows that are done.

    Raises:
        WorkerDied: a process of the pool died; its windows have no receipt, and are still to be transformed.
    """
    done = Transformed()
    todo = list(windows)
    if pool is None or pool.processes == 1 or len(todo) < _SHARED_WINDOWS:
        pool, size = serial_pool(), 1
    else:
        size = _SHARE
    shares = [todo[start : start + size] for start in range(0, len(todo), size)]
    for some in pool.map(partial(_transform, lake, keyring), shares):
        done.add(some)
        progress(len(some.receipts) + len(some.waiting) + len(some.failed))
        if enough():
            break
    return done


def _transform(lake: Lake, keyring: Keyring, windows: Sequence[str]) -> Transformed:
    done = Transformed()
    for window in windows:
        _transform_one(done, lake, keyring, window)
    return done


def _transform_one(done: Transformed, lake: Lake, keyring: Keyring, window: str, body: bytes | None = None) -> None:
    try:
        with failure_of(layout.raw_key(window)):
            outcome = transform(lake, keyring, window, body)
    except LogAssetsError as error:
        done.failed[window] = error
        return
    if isinstance(outcome, Receipt):
        done.receipts.append(outcome)
    else:
        done.waiting.append(outcome)


def fetch(
    lake: Lake, keyring: Keyring, bodies: Iterator[Body], now: Clock, known: set[str]
) -> tuple[Captured, Transformed]:
    """Write down what a source gives and transform each body while it is in hand; gives what is new.

    Args:
        lake, keyring, bodies, now: where, with what, the bodies (a source's history), and the clock.
        known: digests of the bodies that the lake has; the new ones are added.
    """
    done = Transformed()
    return capture_all(lake, bodies, now, known, partial(_transform_one, done, lake, keyring)), done


def _as_json(item: Any) -> Any:
    """An item as JSON can hold it: as its text where it holds NaN, which is none."""
    try:
        json.dumps(item, allow_nan=False)
    except ValueError:
        return json.dumps(item)
    return item


def _put_rejects(lake: Lake, window: str, rejects: Sequence[Unread], body: bytes) -> str:
    try:
        told = [{"reason": reject.reason, "detail": reject.detail, "item": _as_json(item)} for reject, item in rejects]
        content = b"".join(json.dumps(one).encode() + b"\n" for one in told)
    except RecursionError:
        # Read by one parser, and too deep for any writer: the text of the whole body stands for its items.
        whole = body.decode(errors="backslashreplace")
        told = [{"reason": reject.reason, "detail": reject.detail, "item": None} for reject, _ in rejects]
        content = b"".join(json.dumps(one).encode() + b"\n" for one in [*told, {"body": whole}])
    packed = lines.pack(content)
    key = layout.rejects_key(window, packed.digest)
    lake.put(key, packed.data)
    return key
