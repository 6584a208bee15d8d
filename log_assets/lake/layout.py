"""The keys of the lake: one function a kind of object, and the way back from a key to what it names.

This module alone knows a key's form. ``<L>`` is the UTC hour in which a window was put, ``<H>`` an event hour,
``<window>`` the time of the put and the digest of the body: ``20230310T014900123Z-<digest>``. docs/format.md has the
table of all keys and what stands under them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import lru_cache

from log_assets.errors import HourError
from log_assets.hour import Hour

FORMAT_KEY = "lake.json"
FORMAT = 1
PROBE = "probe"
RAW, ROWS, REJECTS, RECEIPTS, COMPACT, CAPTURE = "raw", "rows", "rejects", "receipts", "compact", "capture"

LINES_NAME = "logs.json.gz"
"""The name of the object that holds an hour's lines, in its generation's folder."""

_MANIFEST = "_manifest-"

FOLDERS = (RAW, ROWS, REJECTS, RECEIPTS, COMPACT, CAPTURE)
"""The folders of the lake in which objects stay."""

_H = r"(\d{4}-\d\d-\d\d-\d\d)"
_DIGEST = "[0-9a-f]{32}"
_WINDOW = rf"(20\d{{6}}T\d\d)[0-5]\d[0-5]\d\d{{3}}Z-{_DIGEST}"
_FORMS = {
    RAW: rf"{RAW}/{_H}/{_WINDOW}\.json\.gz",
    ROWS: rf"{ROWS}/{_H}/{_WINDOW}-v\d{{1,6}}-{_DIGEST}\.json\.gz",
    REJECTS: rf"{REJECTS}/{_H}/{_WINDOW}-{_DIGEST}\.json\.gz",
    RECEIPTS: rf"{RECEIPTS}/{_H}/{_WINDOW}-{_DIGEST}\.json",
    COMPACT: rf"{COMPACT}/{_H}/{_DIGEST}/(?:{re.escape(LINES_NAME)}|{_MANIFEST}{_DIGEST}\.json)",
    CAPTURE: rf"{CAPTURE}/{_H}/[^/]+\.json",
}
_PROBE_KEY = re.compile(rf"{PROBE}/{_DIGEST}")
_SPOOLED = re.compile(rf"{_WINDOW}\.json\.gz", re.ASCII)
_KEYS = {folder: re.compile(form, re.ASCII) for folder, form in _FORMS.items()}


def is_ours(key: str) -> bool:
    """Whether a key has exactly the form of one that this module makes.

    Whatever else lies in a lake (another tool's file, a name that only looks alike) is left alone by every step: the
    weakest role may put under `raw/` and `capture/`, and must not stop the strongest.
    """
    form = _KEYS.get(key.split("/", 1)[0])
    match = form.fullmatch(key) if form else None
    if match is None:
        return False
    hour, *landed = match.groups()
    if not _is_hour(hour):
        return False
    if not landed:
        return True
    landing = _landing_hour(landed[0])
    if landing is None:
        return False
    # An event is at most a day later than its window, to the hour; of all else the window's hour is the folder's.
    return hour <= landing.plus(25) if key.startswith(f"{ROWS}/") else hour == landing


def is_hour_folder(name: str) -> bool:
    """Whether the name of a folder is that of an hour."""
    return _is_hour(name)


@lru_cache(maxsize=4096)
def _is_hour(text: str) -> bool:
    try:
        # The last hour of the calendar has no end.
        return Hour(text) < "9999-12-31-00"
    except HourError:
        return False


@lru_cache(maxsize=4096)
def _landing_hour(stamp: str) -> Hour | None:
    try:
        return Hour.of(datetime.strptime(stamp, "%Y%m%dT%H").replace(tzinfo=UTC))
    except ValueError:
        return None


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


def spool_key(window: str) -> str:
    """Where a window waits in the spool, which is a lake of its own."""
    return f"{window}.json.gz"


def is_probe(key: str) -> bool:
    """Whether a key is that of a probe, which stands for a moment only."""
    return _PROBE_KEY.fullmatch(key) is not None


def is_staged(path: str) -> bool:
    """Whether a path under a local lake is that of a put that was not finished: one of our keys, and a number."""
    key, mark, number = path.rpartition("#")
    return bool(mark) and number.isdecimal() and (is_ours(key) or is_probe(key) or is_spooled(key) or key == FORMAT_KEY)


def is_spooled(key: str) -> bool:
    """Whether a key in the spool is that of a window."""
    match = _SPOOLED.fullmatch(key)
    return match is not None and _landing_hour(match[1]) is not None


def rows_key(hour: str, window: str, version: int, digest: str) -> str:
    return f"{ROWS}/{hour}/{window}-v{version}-{digest}.json.gz"


def rejects_key(window: str, digest: str) -> str:
    return f"{REJECTS}/{landing_hour(window)}/{window}-{digest}.json.gz"


def receipt_key(window: str, digest: str) -> str:
    return f"{RECEIPTS}/{landing_hour(window)}/{window}-{digest}.json"


def generation_folder(hour: str, digest: str) -> str:
    return f"{COMPACT}/{hour}/{digest}"


def lines_key(hour: str, digest: str) -> str:
    """The lines of a generation."""
    return f"{generation_folder(hour, digest)}/{LINES_NAME}"


def manifest_key(hour: str, generation: str, digest: str) -> str:
    return f"{generation_folder(hour, generation)}/{_MANIFEST}{digest}.json"


def capture_key(hour: str, capturer: str) -> str:
    return f"{CAPTURE}/{hour}/{capturer}.json"


def hour_folder(prefix: str, hour: str) -> str:
    """The folder of one hour under a prefix: what stands under it, and in a listing what sorts behind it."""
    return f"{prefix}/{hour}"


def name_of(key: str) -> str:
    """A key's last part without its endings."""
    return key.rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".json")


def digest_of(key: str) -> str:
    """The digest that stands last in an object's name, or, for a generation's lines, in its folder's."""
    if key.endswith(f"/{LINES_NAME}"):
        return generation_of(key)
    return name_of(key).rsplit("-", 1)[-1]


def window_of(key: str) -> str:
    """The window that a raw, rows, rejects or receipt key belongs to."""
    return "-".join(name_of(key).split("-", 2)[:2])


def hour_of(key: str) -> Hour:
    """The hour in a key's second part."""
    return Hour(folder_of(key))


def folder_of(key: str) -> str:
    """The name of the folder directly under a key's prefix."""
    return key.split("/", 2)[1]


def row_version_of(key: str) -> int:
    return int(name_of(key).rsplit("-", 2)[-2].removeprefix("v"))


class Part(Enum):
    """What a generation consists of."""

    LINES = auto()
    MANIFEST = auto()


def part_of(key: str) -> Part:
    """Which part of a generation a key under `COMPACT` is."""
    return Part.LINES if key.endswith(f"/{LINES_NAME}") else Part.MANIFEST


def generation_of(key: str) -> str:
    """The digest of the generation that a key under `COMPACT` belongs to."""
    return key.split("/")[2]


LINES_PATTERN = rf"/{COMPACT}/([0-9-]+)/[0-9a-f]+/{re.escape(LINES_NAME)}$"
"""Finds the hour in the path of a generation's lines: a regular expression with one group, in RE2's syntax too."""


def is_location_of(location: str, hour: str, digest: str) -> bool:
    """Whether a URL is that of a generation's folder."""
    return location.rstrip("/").endswith(f"/{generation_folder(hour, digest)}")


def keys_digest(keys: Iterable[str]) -> str:
    """A short digest of a set of keys."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:12]
