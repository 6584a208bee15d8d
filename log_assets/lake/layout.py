"""The keys of the lake: one function a kind of object, and the way back from a key to what it names.

``<L>`` is the UTC hour in which a window was put, ``<H>`` an event hour, ``<window>`` the time of the put and
the digest of the body: ``20230310T014900123Z-<digest>``.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from log_assets.hour import Hour

FORMAT_KEY = "lake.json"
FORMAT = 1
PROBE = "probe"
RAW, ROWS, REJECTS, RECEIPTS, COMPACT, CAPTURE = "raw", "rows", "rejects", "receipts", "compact", "capture"


def window_name(landed: datetime, digest: str) -> str:
    utc = landed.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}{utc.microsecond // 1000:03}Z-{digest}"


def window_landed(window: str) -> datetime:
    """The time of the put, aware, to the millisecond."""
    stamp = window.split("-", 1)[0]
    moment = datetime.strptime(stamp[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return moment + timedelta(milliseconds=int(stamp[15:18]))


def window_digest(window: str) -> str:
    return window.split("-", 1)[1]


def landing_hour(window: str) -> Hour:
    return Hour.of(window_landed(window))


def raw_key(window: str) -> str:
    return f"{RAW}/{landing_hour(window)}/{window}.json.gz"


def rows_key(hour: str, window: str, version: int, digest: str) -> str:
    return f"{ROWS}/{hour}/{window}-v{version}-{digest}.json.gz"


def rejects_key(window: str, digest: str) -> str:
    return f"{REJECTS}/{landing_hour(window)}/{window}-{digest}.json.gz"


def receipt_key(window: str, digest: str) -> str:
    return f"{RECEIPTS}/{landing_hour(window)}/{window}-{digest}.json"


def generation_folder(hour: str, digest: str) -> str:
    return f"{COMPACT}/{hour}/{digest}"


def generation_key(hour: str, digest: str) -> str:
    return f"{generation_folder(hour, digest)}/logs.json.gz"


def manifest_key(hour: str, generation: str, digest: str) -> str:
    return f"{generation_folder(hour, generation)}/_manifest-{digest}.json"


def capture_key(hour: str, capturer: str) -> str:
    return f"{CAPTURE}/{hour}/{capturer}.json"


def name_of(key: str) -> str:
    """A key's last part without its endings."""
    return key.rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".json")


def digest_of(key: str) -> str:
    """The digest that stands last in an object's name, or, for a generation, in its folder's."""
    folder, name = key.rsplit("/", 1)
    if name == "logs.json.gz":
        return folder.rsplit("/", 1)[-1]
    return name_of(key).rsplit("-", 1)[-1]


def window_of(key: str) -> str:
    """The window that a raw, rows, rejects or receipt key belongs to."""
    return "-".join(name_of(key).split("-", 2)[:2])


def hour_of(key: str) -> Hour:
    """The hour in a key's second part."""
    return Hour(key.split("/", 2)[1])


def row_version_of(key: str) -> int:
    return int(name_of(key).rsplit("-", 2)[-2].removeprefix("v"))


def work_digest(keys: list[str]) -> str:
    """A short digest of sorted keys."""
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:12]
