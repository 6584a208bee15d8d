"""Plaintexts → lines by hour, many at a time: the fast path for plain records, the exact one for all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from log_assets.hour import Hour
from log_assets.records import fast_path, payload, row
from log_assets.records.ids import Ids, ids_of
from log_assets.records.reject import Reject


@dataclass(frozen=True, slots=True)
class Encoded:
    """The lines of a batch by hour, in no order, their record ids, and what was rejected, by position in the batch."""

    lines: dict[Hour, list[bytes]]
    ids: Ids
    rejects: dict[int, Reject]


def encode(texts: Sequence[bytes | Reject], landed: datetime) -> Encoded:
    """The lines of many plaintexts.

    Args:
        texts: plaintexts, and rejects in the place of those that there are not.
        landed: when their window was put (aware); an event more than a day later is rejected.
    """
    found = fast_path.encode(texts, landed + row.FUTURE)
    rejects: dict[int, Reject] = {}
    exact: list[bytes] = []
    rest = row.encode(payload.parse([texts[position] for position in found.left]), landed)
    for position, outcome in zip(found.left, rest, strict=True):
        if isinstance(outcome, Reject):
            rejects[position] = outcome
        else:
            found.lines.setdefault(outcome.hour, []).append(outcome.line)
            exact.append(outcome.line)
    known = np.concatenate((found.ids, ids_of(b"".join(exact), len(exact)))) if exact else found.ids
    return Encoded(found.lines, known, rejects)
