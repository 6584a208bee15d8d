"""Transform: the rows of each captured window, by event hour, and a receipt for what was done.

A pure function of window, keys and row version: doing it again, or twice at once with different keys, only adds
files. The receipt is written last, so a window without one is work to do, whatever was interrupted before.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from log_assets.errors import Damaged, NotFound
from log_assets.hour import Hour
from log_assets.lake import Lake, layout
from log_assets.records import codec, ids, lines, row
from log_assets.records.ids import Ids, Range
from log_assets.records.reject import Reason, Reject
from log_assets.records.token import Keyring

MAX_BODY = 64 << 20
_QUICK_BODY = 8 << 20
_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one window.

    Attributes:
        window: its name.
        rows: keys of its rows files, at most one an event hour.
        records: how many came in the window; `kept` of them are in rows, the others in `rejects`, by reason.
        id_ranges: record ids that were kept.
        rejects_key: the object that holds the rejects, unchanged; None when there are none.
        row_version: the version of the rows.
    """

    window: str
    rows: tuple[str, ...]
    records: int
    kept: int
    rejects: dict[str, int]
    id_ranges: tuple[Range, ...]
    rejects_key: str | None
    row_version: int

    @property
    def rejected(self) -> int:
        return sum(self.rejects.values())

    @property
    def hours(self) -> list[Hour]:
        return sorted(layout.hour_of(key) for key in self.rows)

    def to_json(self) -> bytes:
        return orjson.dumps(self, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, content: bytes, name: str) -> Receipt:
        """Raises `Damaged`, naming the object, when the content is no receipt or not what `name` promises."""
        if lines.digest(content) != layout.digest_of(name):
            raise Damaged(f"{name} is damaged: delete it and its window is transformed again")
        data = orjson.loads(content)
        data["rows"] = tuple(data["rows"])
        data["id_ranges"] = tuple((first, last) for first, last in data["id_ranges"])
        return cls(**data)


@dataclass(frozen=True, slots=True)
class WrongKey:
    """A window of which every record failed by key: it gets no receipt and is tried again until the key is right."""

    window: str
    records: int


def pending(lake: Lake, since: Hour | None = None) -> list[str]:
    """Windows without a receipt, oldest first; with `since`, only those put in that hour or later."""
    after = f"/{since}" if since else ""
    done = {layout.window_of(entry.key) for entry in lake.entries(layout.RECEIPTS, _after(layout.RECEIPTS, after))}
    windows = (layout.name_of(entry.key) for entry in lake.entries(layout.RAW, _after(layout.RAW, after)))
    return [window for window in windows if window not in done]


def _after(prefix: str, hour: str) -> str:
    return prefix + hour if hour else ""


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
    items, rejects = _items(body)
    records = len(items) + len(rejects)
    landed = layout.window_landed(window)
    by_hour: defaultdict[Hour, list[bytes]] = defaultdict(list)
    found_ids: list[Ids] = []
    # A few thousand at a time stay in the processor's cache, and bound what lies decrypted in memory.
    for start in range(0, len(items), _AT_ONCE):
        some = items[start : start + _AT_ONCE]
        encoded = codec.encode(keyring.decrypt(_tokens(some)), landed)
        for hour, found in encoded.lines.items():
            by_hour[hour] += found
        found_ids.append(encoded.ids)
        rejects += [(reject, some[position]) for position, reject in sorted(encoded.rejects.items())]
    if items and len(rejects) == len(items) == records and all(reject.reason is Reason.KEY for reject, _ in rejects):
        return WrongKey(window, len(items))

    rows_keys = []
    for hour, found in sorted(by_hour.items()):
        packed = lines.pack(lines.content_of(found))
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
        rejects_key=_put_rejects(lake, window, rejects) if rejects else None,
        row_version=row.ROW_VERSION,
    )
    content = receipt.to_json()
    lake.put(layout.receipt_key(window, lines.digest(content)), content)
    return receipt


def _tokens(items: Sequence[Any]) -> list[object]:
    try:
        return [item["data"] for item in items]
    except (TypeError, KeyError, IndexError):
        return [item.get("data") if isinstance(item, dict) else None for item in items]


def receipts(lake: Lake, keys: Iterable[str]) -> Iterator[Receipt]:
    for key in keys:
        try:
            yield Receipt.from_json(lake.get(key), key)
        except NotFound:
            continue


def best_receipts(found: Iterable[Receipt]) -> dict[str, Receipt]:
    """One receipt a window: of several (other keys, a later codec), the one with the fewest rejects."""
    best: dict[str, Receipt] = {}
    for receipt in found:
        if receipt.window not in best or receipt.rejected < best[receipt.window].rejected:
            best[receipt.window] = receipt
    return best


def with_rejects(lake: Lake) -> list[Receipt]:
    """The receipts of windows that still have rejects. Costs a look at windows with rejects only."""
    windows = sorted({layout.window_of(entry.key) for entry in lake.entries(layout.REJECTS)})
    found: list[Receipt] = []
    by_hour: dict[Hour, list[str]] = {}
    for window in windows:
        by_hour.setdefault(layout.landing_hour(window), []).append(window)
    for hour, some in by_hour.items():
        keys = [e.key for e in lake.entries(f"{layout.RECEIPTS}/{hour}") if layout.window_of(e.key) in some]
        found += best_receipts(receipts(lake, keys)).values()
    return [receipt for receipt in found if receipt.rejected]


def _put_rejects(lake: Lake, window: str, rejects: Sequence[tuple[Reject, Any]]) -> str:
    packed = lines.pack(
        b"".join(
            json.dumps({"reason": reject.reason, "detail": reject.detail, "item": item}).encode() + b"\n"
            for reject, item in rejects
        )
    )
    key = layout.rejects_key(window, packed.digest)
    lake.put(key, packed.data)
    return key


def _items(body: bytes) -> tuple[list[Any], list[tuple[Reject, Any]]]:
    """The envelope's items, and what of the body could not be read: a list of JSON, or JSON a line (NDJSON)."""
    try:
        # orjson takes twelve times the body in memory for a moment.
        data = orjson.loads(body) if len(body) <= _QUICK_BODY else json.loads(body)
    except (ValueError, RecursionError):
        return _items_one_by_one(body)
    if isinstance(data, list):
        return data, []
    if isinstance(data, dict) and "data" in data:
        return [data], []
    return [], [_unread(body, f"a JSON {type(data).__name__}")]


def _items_one_by_one(body: bytes) -> tuple[list[Any], list[tuple[Reject, Any]]]:
    items: list[Any] = []
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return [], [_unread(body, "not UTF-8")]
    if text.lstrip().startswith("["):
        rest = _items_of_half_a_list(text.lstrip()[1:], items)
        return items, [_unread(rest.encode(), "the list breaks off")]
    unread = []
    for line in text.splitlines():
        try:
            item = orjson.loads(line) if line.strip() else None
        except orjson.JSONDecodeError:
            item = line
        if isinstance(item, dict):
            items.append(item)
        elif item is not None:
            unread.append(_unread(line.encode(), "a line that is no JSON object"))
    return items, unread if items else [_unread(body, "neither JSON nor JSON a line")] if text.strip() else []


def _items_of_half_a_list(text: str, items: list[Any]) -> str:
    """Take the whole items of a list that breaks off, and give back the rest."""
    decoder = json.JSONDecoder()
    position = 0
    while True:
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        try:
            item, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return text[position:]
        items.append(item)


def _unread(content: bytes, detail: str) -> tuple[Reject, Any]:
    return Reject(Reason.NOT_A_LIST, detail), content.decode(errors="backslashreplace")
