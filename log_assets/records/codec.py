"""Plaintexts → lines by hour, many at a time: the fast path for plain records, the exact one for all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from log_assets.hour import Hour
from log_assets.records import payload, plain, row
from log_assets.records.reject import Reject


@dataclass(frozen=True, slots=True)
class Encoded:
    """The lines of a batch by hour, in no order, and what was rejected by its position in the batch."""

    lines: dict[Hour, list[bytes]] = field(default_factory=dict)
    rejects: dict[int, Reject] = field(default_factory=dict)


def encode(texts: Sequence[bytes | Reject], landed: datetime) -> Encoded:
    """The lines of many plaintexts.

    Args:
        texts: plaintexts, and rejects in the place of those that there are not.
        landed: when their window was put (aware); an event more than a day later is rejected.
    """
    found = plain.encode(texts, landed + row.FUTURE)
    encoded = Encoded(found.lines)
    rest = row.encode(payload.parse([texts[position] for position in found.left]), landed)
    for position, outcome in zip(found.left, rest, strict=True):
        if isinstance(outcome, Reject):
            encoded.rejects[position] = outcome
        else:
            encoded.lines.setdefault(outcome.hour, []).append(outcome.line)
    return encoded
