"""A differential fuzzer of bodies, tokens, payloads and rows, with a seed: `make fuzz` runs 250,000 cases.

A case is a body of a few records in one of the forms of `bodies.py`, some of them or the body itself damaged. What the
product makes of it is held against slow readers of other hands: the standard library's json, ast.literal_eval, Fernet
one token at a time, and what the case knows of the records that it wrote. A case depends on the seed and its number
alone; one that fails is told with both, and `make fuzz SEED=… CASE=…` runs it alone.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import math
import multiprocessing
import os
import random
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from log_assets.hour import Hour
from log_assets.records import codec, envelope, payload, row
from log_assets.records.literal import MAX_DEPTH
from log_assets.records.reject import Reason, Reject
from log_assets.records.token import Keyring
from log_assets_tests.bodies import PACKINGS, TEXTS
from log_assets_tests.kit import record
from log_assets_tests.strategies import LANDED, same

KEY = "A" * 43 + "="
OTHER_KEY = "B" * 43 + "="
RING = Keyring.parse(KEY)
FERNET = Fernet(KEY)
OTHER = Fernet(OTHER_KEY)
CHUNK = 500

_YEARS = (int(datetime(2000, 1, 2, tzinfo=UTC).timestamp()), int(datetime(2099, 12, 1, tzinfo=UTC).timestamp()))
_CHARACTERS = "aZ09 '\"\\/\n\r\t\b\f\x00\x1f\x7f\x85é\u0301\u2028\u2029\ufeff\uffff\U0001f600\U0010ffff{}[]:,%#"
_NUMBERS = [0, -1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**40, 0.0, -0.0, 1e16, 1e22, 5e-324, 1e308, 2.0, 0.1, 1e-7]
_KEYS = ["user_id", "record_id", "activity", "url", "method", "name", "detail", "extra", "hour", "User_Id", "message"]
_PIECES = [
    b"'", b'"', b"\\", b"\n", b"\r", b"\x00", b" ", b",", b"{", b"}", b"[", b"]", b":", b"0", b"-", b"e9", b".", b"",
    b"True", b"null", b"NaN", b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8", b"u'", b"'''", b"#", b"(", b"\x1f\x8b",
]  # fmt: skip

_BARE = re.compile(r"\\.|\0|\r", re.DOTALL)
_SPELT = {"\0": "\\x00", "\r": "\\r", "\\\0": "\\\\\\x00"}


class Failed(AssertionError):
    """What a case did otherwise than expected."""


def run(seed: int, number: int) -> None:
    """One case.

    Raises:
        Failed: the product and the slow readers differ.
    """
    luck = random.Random(f"{seed} {number}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _bodies(luck)
            _records(luck)
    except Exception as error:
        raise Failed(f"case {number} of seed {seed} ({type(error).__name__}): {error}") from error


def _bodies(luck: random.Random) -> None:
    items = [{"recordId": number, "data": f"token {number} {luck.random()}"} for number in range(luck.randint(1, 4))]
    form = luck.choice(list(TEXTS))
    text = TEXTS[form](items)
    if luck.random() < 0.4:
        packing = luck.choice(list(PACKINGS))
        found = envelope.read(PACKINGS[packing](text))
        assert envelope.tokens(found.items) == [one["data"] for one in items], (form, packing)
        assert not found.unread, (form, packing)
        return
    body = _damaged(luck, text.encode())
    found = envelope.read(body)
    read = [one.get("data") for one in found.items if isinstance(one, dict)]
    assert len(found.items) + len(found.unread) <= envelope.MAX_ITEMS + 1
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError):
        # Every line that is an object by itself is read, whatever stands around it.
        if form.startswith("lines") and not body.startswith(b"\x1f\x8b"):
            for line in body.decode(errors="surrogateescape").split("\n"):
                one = _object(line.strip("\r\x1e, \ufeff"))
                if one is not None and isinstance(one.get("data"), str):
                    assert one["data"] in read, (form, body)
    else:
        expected: list[Any] = []
        envelope._add(expected, whole)
        assert repr(found.items) == repr(expected) or found.unread, (form, body)


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _records(luck: random.Random) -> None:
    """A batch of tokens, most of them whole, through decryption and codec, against one at a time by others."""
    tokens: list[object] = []
    expected: list[tuple[Hour, dict[str, Any]] | Reason | None] = []
    for _ in range(luck.randint(1, 6)):
        one, moment = _record(luck)
        text = _written(luck, one)
        known: tuple[Hour, dict[str, Any]] | Reason | None = (Hour.of(moment), one)
        if luck.random() < 0.4:
            text = _damaged(luck, text)
            known = None
        token, reason = _token(luck, text)
        tokens.append(token)
        expected.append(reason or known)
    texts = RING.decrypt(tokens)
    encoded = codec.encode(texts, LANDED)
    alone = [row.encode(payload.parse([text]), LANDED)[0] for text in texts]
    lines = sorted(line for some in encoded.lines.values() for line in some)
    assert lines == sorted(one.line for one in alone if isinstance(one, row.Row)), "batch and one by one differ"
    assert encoded.rejects == {place: one for place, one in enumerate(alone) if isinstance(one, Reject)}
    for token, decrypted, found, known in zip(tokens, texts, alone, expected, strict=True):
        plain = _decrypted(token)
        assert (None if isinstance(decrypted, Reject) else decrypted) == plain, ("token", token)
        if isinstance(known, Reason):
            assert isinstance(found, Reject), ("accepted", found, known)
            assert found.reason is known, ("reason", found, known)
        elif known is not None:
            assert isinstance(found, row.Row), ("a good record was rejected", found, decrypted)
            hour, one = known
            assert found.hour == hour, ("hour", found, one)
            _restores(found, one)
        elif plain is not None:
            _as_python_reads(plain, found)


def _restores(found: row.Row, one: dict[str, Any]) -> None:
    (back,) = row.restore([found.line])
    assert same(back, one), ("restore", back, one)
    assert row.fits(found.line), ("schema", found.line)
    assert row.reencode([found.line]) == [found.line]


def _as_python_reads(text: bytes, found: row.Row | Reject) -> None:
    """A damaged text: what is accepted is what others read, and what JSON itself reads whole is accepted."""
    by_json, read = _read_by_others(text)
    if isinstance(found, row.Row):
        (back,) = row.restore([found.line])
        assert same(back, read), ("read otherwise", text, back, read)
        _restores(found, back)
    elif by_json and isinstance(read, dict) and row.event_time(read.get("inDate")) and _is_json_value(read):
        assert found.reason in (Reason.TOO_LARGE, Reason.FUTURE), ("rejected", found, text)


def _read_by_others(text: bytes) -> tuple[bool, Any]:
    """Whether JSON reads a text, and what it or else Python reads, through up to two texts within texts."""
    try:
        found: Any = text.decode()
    except UnicodeDecodeError:
        return False, None
    by_json = True
    for _ in range(3):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            by_json, found = False, _literal(found)
        if not isinstance(found, str):
            break
    return by_json, found


def _literal(text: str) -> Any:
    # Python refuses a bare NUL or CR in a string; the product takes it for itself.
    for spelling in (text, _BARE.sub(lambda found: _SPELT.get(found[0], found[0]), text)):
        with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return ast.literal_eval(spelling)
    return None


def _is_json_value(value: Any, depth: int = 0) -> bool:
    if depth > MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json_value(key) for key in value) and all(
            _is_json_value(inner, depth + 1) for inner in value.values()
        )
    if isinstance(value, list):
        return all(_is_json_value(inner, depth + 1) for inner in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, str) or not re.search("[\ud800-\udfff]", value)


def _decrypted(token: object) -> bytes | None:
    if not isinstance(token, str):
        return None
    whole = token.rstrip("=")
    spellings = [token]
    if len(token) - len(whole) <= 2 and re.fullmatch("[A-Za-z0-9_-]+", whole):
        spellings.append(whole + "=" * (-len(whole) % 4))
    for spelling in spellings:
        try:
            return FERNET.decrypt(spelling)
        except (InvalidToken, ValueError):
            continue
    return None


def _token(luck: random.Random, text: bytes) -> tuple[object, Reason | None]:
    """A token of a text, as a rule; or what is none, and the reason for which it must be rejected."""
    token = FERNET.encrypt(text).decode()
    match luck.randint(0, 24):
        case 0:
            return OTHER.encrypt(text).decode(), Reason.KEY
        case 1:
            return luck.choice([None, 5, 2.5, True, [], {"a": 1}, "", "é"]), Reason.NO_TOKEN
        case 2:
            place = luck.randrange(len(token) - 4)
            letter = "A" if token[place] != "A" else "B"
            return token[:place] + letter + token[place + 1 :], Reason.KEY if place else Reason.NO_TOKEN
        case 3:
            return token.rstrip("="), None
        case 4:
            return token.replace("-", "+").replace("_", "/"), None
        case 5:
            place = luck.randrange(len(token))
            return token[:place] + "\n" + token[place:], None
    return token, None


def _record(luck: random.Random) -> tuple[dict[str, Any], datetime]:
    seconds, microseconds = luck.randint(*_YEARS), luck.randint(0, 999_999)
    moment = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
    one = record(luck.randint(0, 10**6), moment)
    if luck.random() < 0.4:
        one["inDate"] = _in_date(luck, seconds, microseconds)
    for _ in range(luck.choice([0, 0, 1, 3])):
        key = luck.choice([*_KEYS, _text(luck)])
        if luck.random() < 0.3:
            one.pop(key, None)
        elif key != "inDate":
            one[key] = _value(luck, 0)
    return one, moment


def _in_date(luck: random.Random, seconds: int, microseconds: int) -> Any:
    moment = datetime.fromtimestamp(seconds, UTC)
    sign, hours, minutes = luck.choice([1, -1]), luck.randint(0, 23), luck.randint(0, 59)
    with_minutes = luck.random() < 0.7
    offset = timedelta(hours=hours, minutes=minutes if with_minutes else 0)
    zone = f"{'+' if sign > 0 else '-'}{hours:02}" + (f"{luck.choice([':', ''])}{minutes:02}" if with_minutes else "")
    local = moment + sign * offset
    if luck.random() < 0.4:
        zone, local = luck.choice(["", "Z"]), moment
    fraction = f"{luck.choice('.,')}{microseconds:06}{luck.choice(['', '9', '999'])}" if luck.random() < 0.8 else ""
    digits = f"{microseconds:06}"
    return luck.choice(
        [
            f"{local:%Y-%m-%d}{luck.choice('T ')}{local:%H:%M:%S}{fraction}{zone}",
            seconds,
            seconds * 1000 + microseconds // 1000,
            seconds + microseconds / 10**6,
            f"{seconds}",
            f"{seconds}.{digits}",
            f"{seconds}{digits[:3]}",
            f"{seconds}{digits[:3]}.{digits[3:]}",
        ]
    )


def _value(luck: random.Random, depth: int) -> Any:
    match luck.randint(0, 9 if depth < 4 else 7):
        case 0:
            return None
        case 1:
            return luck.random() < 0.5
        case 2 | 3:
            return luck.choice([*_NUMBERS, luck.randint(-(2**70), 2**70), luck.uniform(-1e9, 1e9)])
        case 8:
            return [_value(luck, depth + 1) for _ in range(luck.randint(0, 3))]
        case 9:
            return {_text(luck): _value(luck, depth + 1) for _ in range(luck.randint(0, 3))}
    return _text(luck)


def _text(luck: random.Random) -> str:
    return "".join(luck.choices(_CHARACTERS, k=luck.randint(0, 8)))


def _written(luck: random.Random, one: dict[str, Any]) -> bytes:
    writers: list[Callable[[Any], str]] = [
        repr,
        repr,
        json.dumps,
        partial(json.dumps, ensure_ascii=False),
        partial(json.dumps, indent=1),
        lambda value: json.dumps(json.dumps(value)),
        lambda value: json.dumps(repr(value)),
    ]
    return luck.choice(writers)(one).encode()


def _damaged(luck: random.Random, text: bytes) -> bytes:
    """The text with a piece put into it, in the place of up to two bytes, or broken off."""
    place = luck.randint(0, len(text))
    if luck.random() < 0.1:
        return text[:place]
    return text[:place] + luck.choice(_PIECES) + text[place + luck.randint(0, 2) :]


def _chunk(seed: int, start: int, stop: int) -> list[str]:
    failed = []
    for number in range(start, stop):
        try:
            run(seed, number)
        except Failed as error:
            failed.append(str(error))
    return failed


def _chunks(seed: int, cases: int) -> Iterator[tuple[int, int, int]]:
    return ((seed, start, min(start + CHUNK, cases)) for start in range(0, cases, CHUNK))


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=250_000)
    parser.add_argument("--case", type=int, help="this one alone, with its traceback")
    options = parser.parse_args()
    if options.case is not None:
        run(options.seed, options.case)
        return 0
    begin, failed = time.monotonic(), 0
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for found in pool.starmap(_chunk, _chunks(options.seed, options.cases), chunksize=4):
            failed += len(found)
            for text in found[:3]:
                print(text[:2000], file=sys.stderr)
    took = time.monotonic() - begin
    print(f"fuzz: {options.cases - failed:,} passed, {failed:,} failed, seed {options.seed}, {took:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
