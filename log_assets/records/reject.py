"""Why a record could not be read. A reject takes the record's place in a batch, so positions stay aligned."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The reasons as they stand in reject files, receipts, metadata and `status`."""

    NOT_A_LIST = "body is not a list of records"
    NO_TOKEN = "no token"  # noqa: S105
    KEY = "wrong key or tampered token"
    NOT_A_DICT = "neither JSON nor a dict literal"
    NOT_JSON_VALUE = "a value JSON cannot hold"
    NO_IN_DATE = "no readable inDate"
    FUTURE = "inDate more than a day after the window landed"
    TOO_LARGE = "beyond the limits"


@dataclass(frozen=True, slots=True)
class Reject:
    """One unreadable record: the reason, and a detail for people that never holds plaintext or key material."""

    reason: Reason
    detail: str = ""
