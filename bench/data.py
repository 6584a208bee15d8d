"""Windows of encrypted records, shaped like the real ones; a pure function of what is asked for, but for the key."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from log_assets.hour import Hour
from log_assets.records.token import Keyring
from log_assets.steps.pool import Pool

BASE = datetime(2023, 3, 10, 1, tzinfo=UTC)
HOUR = Hour.of(BASE)
MIXES = ("mostly new users", "returning users", "odd records")
RETURNING_USERS = 5000
# A poll every half a minute.
WINDOWS_AN_HOUR = 120
_ACTIVITIES = ("view",) * 7 + ("cart",) * 2 + ("purchase",)
_ODD_SHARE = 0.05
# Of the mostly new users one in ten was seen before, some hundred records ago or more.
_SEEN_SHARE = 0.1
_REMEMBERED = 1000


def records(mix: str, numbers: range, total: int) -> Iterator[dict[str, Any]]:
    """Records `numbers` of the `total` of one hour."""
    luck = random.Random(f"{mix} {numbers.start}")
    users = random.Random("users")
    pool = [f"{users.getrandbits(256):064x}" for _ in range(RETURNING_USERS)]
    seen: list[str] = []
    for number in numbers:
        activity = luck.choice(_ACTIVITIES)
        moment = BASE + timedelta(milliseconds=number % total * 3_600_000 // total, hours=number // total)
        one = {
            "user_id": luck.choice(pool) if mix == "returning users" else _mostly_new(luck, seen),
            "record_id": 5822 + number,
            "activity": activity,
            "url": "/api/products/product/",
            "method": "POST",
            "name": "json_logger",
            "inDate": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
            "detail": {"message": f"POST {activity}", "levelname": "INFO"},
        }
        if mix == "odd records" and luck.random() < _ODD_SHARE:
            one |= luck.choice(
                (
                    {"referrer": None, "tags": ["a", 1, 2.5]},
                    {"url": "/api/produkte/größe/"},
                    {"name": 'say "it\'s"\t\\'},
                    {"method": "PATCH"},
                )
            )
        yield one


def _mostly_new(luck: random.Random, seen: list[str]) -> str:
    if seen and luck.random() < _SEEN_SHARE:
        return luck.choice(seen[-_REMEMBERED:])
    seen.append(f"{luck.getrandbits(256):064x}")
    return seen[-1]


def windows(folder: Path, mix: str, total: int, count: int = WINDOWS_AN_HOUR, hours: int = 1) -> Keyring:
    """Write `hours` hours of `total` records each as bodies `0000000.json …`, `count` an hour; the key in `f_key`."""
    key = folder / "f_key"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        key.write_text(Keyring.generate())
        size = -(-total // count)
        starts = [hour * total + start for hour in range(hours) for start in range(0, total, size)]
        with Pool() as pool:
            for _ in pool.map(partial(_write, folder, key.read_text(), mix, total, size), list(enumerate(starts))):
                pass
        (folder / "done").touch()
    return Keyring.parse(key.read_text())


def _write(folder: Path, key: str, mix: str, total: int, size: int, task: tuple[int, int]) -> None:
    number, start = task
    end = min(start + size, start - start % total + total)
    keyring = Keyring.parse(key)
    body = [
        {
            "recordId": one["record_id"],
            "ArrivalTimeStamp": 1678412891.818,
            "data": keyring.encrypt(repr(one).encode()).decode(),
        }
        for one in records(mix, range(start, end), total)
    ]
    (folder / f"{number:07}.json").write_bytes(json.dumps(body).encode())


def bodies(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))
