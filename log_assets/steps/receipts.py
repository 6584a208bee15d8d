"""Receipts: what transform did with each window, and the windows that have none yet and so are work to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from log_assets.errors import Damaged, LogAssetsError, NotFound, Unreadable, failure_of
from log_assets.hour import Hour
from log_assets.lake import Lake, layout, listing
from log_assets.records import lines
from log_assets.records.ids import Range


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
        try:
            data = orjson.loads(content)
            found = cls(
                window=data["window"],
                rows=tuple(data["rows"]),
                records=int(data["records"]),
                kept=int(data["kept"]),
                rejects={str(reason): int(number) for reason, number in data["rejects"].items()},
                id_ranges=tuple((int(first), int(last)) for first, last in data["id_ranges"]),
                rejects_key=data["rejects_key"],
                row_version=int(data["row_version"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            found = None
        if found is None or found.window != layout.window_of(name) or not all(map(layout.is_ours, found.rows)):
            raise Damaged(f"{name} is no receipt: delete it and its window is transformed again")
        return found


def put(lake: Lake, receipt: Receipt) -> None:
    """Write a receipt down; the last that is written of a window."""
    content = receipt.to_json()
    lake.put(layout.receipt_key(receipt.window, lines.digest(content)), content)


@dataclass(slots=True)
class Receipts:
    """Receipts that were read, and what could not be, by key: one that is damaged stops no other."""

    found: list[Receipt] = field(default_factory=list)
    failed: dict[str, LogAssetsError] = field(default_factory=dict)


def read(lake: Lake, keys: Iterable[str]) -> Receipts:
    """The receipts under `keys`; those that are gone are left out."""
    receipts = Receipts()
    for key in keys:
        try:
            with failure_of(key):
                receipts.found.append(Receipt.from_json(lake.get(key), key))
        except NotFound:
            continue
        except (Damaged, Unreadable) as error:
            receipts.failed[key] = error
    return receipts


def pending(lake: Lake, since: Hour | None = None) -> list[str]:
    """Windows without a receipt, oldest first; with `since`, only those put in that hour or later."""
    raw, receipts = ((layout.hour_folder(prefix, since) if since else "") for prefix in (layout.RAW, layout.RECEIPTS))
    done = {layout.window_of(entry.key) for entry in listing.objects(lake, layout.RECEIPTS, receipts)}
    windows = (layout.name_of(entry.key) for entry in listing.objects(lake, layout.RAW, raw))
    return [window for window in windows if window not in done]


def with_rejects(lake: Lake) -> Receipts:
    """The receipts of windows that still have rejects, and those that cannot be read. Costs a read of windows with
    rejects only."""
    windows = sorted({layout.window_of(entry.key) for entry in listing.objects(lake, layout.REJECTS)})
    receipts = Receipts()
    by_hour: dict[Hour, list[str]] = {}
    for window in windows:
        by_hour.setdefault(layout.landing_hour(window), []).append(window)
    for hour, some in by_hour.items():
        listed = listing.objects(lake, layout.hour_folder(layout.RECEIPTS, hour))
        keys = [entry.key for entry in listed if layout.window_of(entry.key) in some]
        of_hour = read(lake, keys)
        receipts.found += [receipt for receipt in _best(of_hour.found).values() if receipt.rejected]
        receipts.failed |= of_hour.failed
    return receipts


def _best(found: Iterable[Receipt]) -> dict[str, Receipt]:
    """One receipt a window: of several (other keys, a later codec), the one with the fewest rejects."""
    best: dict[str, Receipt] = {}
    for receipt in found:
        if receipt.window not in best or receipt.rejected < best[receipt.window].rejected:
            best[receipt.window] = receipt
    return best


def rejects_by_reason(found: Iterable[Receipt]) -> dict[str, int]:
    """How many records were rejected, by reason, over several receipts."""
    total: Counter[str] = Counter()
    for receipt in found:
        total.update(receipt.rejects)
    return dict(total)
