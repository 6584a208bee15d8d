"""The fast path against the plain one: record by record, byte by byte, on hostile text too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from log_assets.hour import Hour
from log_assets.records import codec, fast_path, payload, row
from log_assets.records.reject import Reason, Reject
from log_assets.records.token import Keyring
from log_assets_tests.kit import BASE, H0, full_record, record
from log_assets_tests.strategies import LANDED, NEAR_REAL, RECORDS, SHORT_DATES, same

RING = Keyring.parse(Keyring.generate())
LANDED_SOON = BASE + timedelta(minutes=10)


def one_by_one(texts: Sequence[bytes | Reject], landed: datetime) -> tuple[dict[Hour, list[bytes]], dict[int, Reject]]:
    """The oracle: `payload` and `row` alone, a record at a time."""
    lines: dict[Hour, list[bytes]] = {}
    rejects: dict[int, Reject] = {}
    for position, text in enumerate(texts):
        (found,) = row.encode(payload.parse([text]), landed)
        if isinstance(found, Reject):
            rejects[position] = found
        else:
            lines.setdefault(found.hour, []).append(found.line)
    return lines, rejects


def check(texts: Sequence[bytes | Reject], landed: datetime = LANDED) -> None:
    encoded = codec.encode(texts, landed)
    lines, rejects = one_by_one(texts, landed)
    assert {hour: sorted(found) for hour, found in encoded.lines.items()} == {
        hour: sorted(found) for hour, found in lines.items()
    }
    assert encoded.rejects == rejects


def edited(text: bytes, edits: Sequence[tuple[int, bytes]]) -> bytes:
    """The text with some of its bytes replaced, cut out or doubled."""
    for position, piece in edits:
        at = position % (len(text) + 1)
        text = text[:at] + piece + text[at + position % 3 :]
    return text


PLAIN_TEXTS = st.text(alphabet=" !#$%&()*+,-./09:;<=>?@AZ[]^_`az{|}~", max_size=12)
PLAINEST = st.builds(
    record,
    st.integers(0, 10**6),
    activity=PLAIN_TEXTS,
    url=PLAIN_TEXTS,
    name=PLAIN_TEXTS,
    method=st.sampled_from(["GET", "POST"]),
    record_id=st.integers(-(2**63), 2**63 - 1),
    user_id=st.text(alphabet="0123456789abcdef", min_size=64, max_size=64),
    inDate=SHORT_DATES,
    detail=st.builds(lambda message, level: {"message": message, "levelname": level}, PLAIN_TEXTS, PLAIN_TEXTS),
)
WRITERS: list[Callable[[Any], str]] = [
    repr,
    json.dumps,
    lambda one: json.dumps(one, ensure_ascii=False),
    lambda one: json.dumps(one, separators=(",", ":")),
    # What a naive swap of the quotes makes of it, and takes it for.
    lambda one: repr(one).replace("'", '"'),
    lambda one: json.dumps(one).replace('"', "'"),
]
PIECES = st.sampled_from(
    [
        b"", b"'", b'"', b"\\", b"\\'", b"\n", b"\r", b"\x00", b"\x7f", b" ", b",", b"{", b"}", b"]", b"[", b"0", b"-",
        b"e5", b".0", b"True", b"None", b"#", b"'x': 1, ", b"}\n{", b"'}, {'", b"u'", b"b'", b"\xc3\xa9", b"\xff",
    ]
)  # fmt: skip
WRITTEN = st.builds(
    lambda one, write, edits: edited(write(one).encode("utf-8", "surrogatepass"), edits),
    st.one_of(PLAINEST, PLAINEST, PLAINEST, NEAR_REAL, RECORDS),
    st.sampled_from(WRITERS),
    st.lists(st.tuples(st.integers(0, 400), PIECES), max_size=2) | st.just([]),
)
REJECTS = st.just(Reject(Reason.KEY))
LETTERS = b"0569:-./;\"'\\\n,}GTZaf \x7f\xc3"


@settings(max_examples=2000, deadline=None)
@given(st.lists(WRITTEN | REJECTS | st.binary(max_size=20), max_size=5))
def test_a_batch_makes_the_lines_that_each_record_makes_alone(texts: list[bytes | Reject]) -> None:
    check(texts)


@pytest.mark.slow
@settings(max_examples=20000, deadline=None)
@given(st.lists(WRITTEN | REJECTS | st.binary(max_size=20), max_size=5))
def test_a_batch_makes_the_lines_that_each_record_makes_alone_at_length(texts: list[bytes | Reject]) -> None:
    check(texts)


@settings(max_examples=300, deadline=None)
@given(st.lists(PLAINEST, min_size=1, max_size=5), st.sampled_from(WRITERS[:3]))
def test_a_plain_record_takes_the_fast_path_and_comes_back(records: list[dict[str, Any]], write: Any) -> None:
    found = fast_path.encode([write(one).encode() for one in records], LANDED)
    long = [position for position, one in enumerate(records) if len(str(abs(one["record_id"]))) > 18]
    assert found.left == long
    lines = [line for some in found.lines.values() for line in some]
    kept = [one for position, one in enumerate(records) if position not in long]
    assert same(sorted(row.restore(lines), key=repr), sorted(kept, key=repr))
    for hour, some in found.lines.items():
        assert fast_path.odd_lines(b"".join(sorted(some)), hour) == []


@pytest.mark.parametrize("write", WRITERS[:3])
def test_a_record_with_every_column_takes_the_fast_path(write: Callable[[Any], str]) -> None:
    """Derived from the schema: a column that `row` writes and the fast path does not turns it red."""
    text = write(full_record(1)).encode()
    found = fast_path.encode([text], LANDED)
    assert found.left == [], "the fast path leaves a record that has every column"
    ((hour, lines),) = found.lines.items()
    assert [list(json.loads(line)) for line in lines] == [[key for key, _ in row.SCHEMA if key != "extra"]]
    assert fast_path.odd_lines(lines[0], hour) == [], "a line with every column is not taken for a plain one"
    check([text])


@settings(max_examples=500, deadline=None)
@given(st.lists(NEAR_REAL | RECORDS | PLAINEST, max_size=4), st.lists(st.tuples(st.integers(0, 400), PIECES)))
def test_no_line_passes_for_plain_that_is_not_sound(records: list[dict[str, Any]], edits: Any) -> None:
    """`odd_lines` leaves every line that the checks made one by one would find fault with."""
    content = edited(b"".join(found.line for found in row.encode(records, LANDED) if isinstance(found, row.Row)), edits)
    hour = next((found.hour for found in row.encode(records, LANDED) if isinstance(found, row.Row)), H0)
    left = fast_path.odd_lines(content, hour)
    for line in content.splitlines(keepends=True):
        if not is_sound(line, hour):
            assert b"".join(left).find(line) >= 0


def is_sound(line: bytes, hour: Hour) -> bool:
    """What the checks of a line, made one by one, say of it."""
    try:
        return row.fits(line) and row.hour_of_line(line) == hour and row.reencode([line]) == [line]
    except ValueError:
        return False


@pytest.mark.parametrize(
    "text",
    [
        # The quotes swapped, each of these is JSON, and another record than it is.
        "{'user_id': 'it\\'s', 'inDate': '2023-03-10T01:48:11.818Z'}",
        """{'name': 'say "x"', 'inDate': '2023-03-10T01:48:11.818Z'}""",
        """{"name": "it's", "inDate": "2023-03-10T01:48:11.818Z"}""",
        repr(record(1, name='a", "b": "c')),
        repr(record(1, name="a\\n")),
        repr(record(1, name="a\nb")),
        repr(record(1, activity="\x7f")),
        repr(record(1, activity="é")),
        repr(record(1)).replace("'view'", "'vi' 'ew'"),
        repr(record(1)).replace("'cart'", '"cart"'),
        repr(record(1)).replace(": 1,", ": 01,"),
        repr(record(1)).replace(": 1,", ": -0,"),
        repr(record(1)).replace(": 1,", ": 1_0,"),
        repr(record(1)) + repr(record(2)),
        repr(record(1)) + "," + repr(record(2)),
        repr(record(1))[:-1],
        repr(record(1)) + " ",
        repr(record(1)).replace("01:00:01", "24:00:01"),
        repr(record(1)).replace("03-10T", "02-30T"),
        repr(record(1)).replace("2023", "1999"),
    ],
)
def test_text_that_a_naive_reading_would_change(text: str) -> None:
    check([repr(record(5)).encode(), text.encode(), repr(record(6)).encode()])


@pytest.mark.parametrize("letter", LETTERS)
def test_a_plain_record_with_any_one_letter_changed(letter: int) -> None:
    plain_text, piece = repr(full_record(1)).encode(), bytes([letter])
    texts = [plain_text[:place] + piece + plain_text[place + 1 :] for place in range(len(plain_text))]
    check(texts)
    for text in texts:
        check([text])


@pytest.mark.parametrize("letter", LETTERS)
def test_a_line_with_any_one_letter_changed(letter: int) -> None:
    (found,) = row.encode([full_record(1)], LANDED)
    assert isinstance(found, row.Row)
    body, piece = found.line.removesuffix(b"\n"), bytes([letter])
    for place in range(len(body)):
        changed = body[:place] + piece + body[place + 1 :] + b"\n"
        if not is_sound(changed, H0):
            assert fast_path.odd_lines(changed, H0), changed


def test_two_halves_of_a_record_are_not_one() -> None:
    whole = repr(record(1)).encode()
    for cut in range(1, len(whole)):
        check([whole[:cut], whole[cut:], repr(record(2)).encode() + b"\n" + repr(record(3)).encode()])


@given(st.timedeltas(min_value=timedelta(hours=-2), max_value=timedelta(hours=2)))
def test_an_event_a_day_later_is_rejected_to_the_millisecond(late: timedelta) -> None:
    moment = LANDED_SOON + timedelta(days=1) + late
    check([repr(record(1, moment)).encode(), repr(record(2)).encode()], LANDED_SOON)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NEAR_REAL | PLAINEST, st.integers(0, 9), st.integers(0, 10_000)), min_size=1, max_size=8))
def test_tokens_in_lines_out_with_bad_ones_in_between(some: list[tuple[dict[str, Any], int, int]]) -> None:
    """The whole way, each token alone and all in one batch; of ten tokens one is tampered with."""
    tokens = []
    for one, luck, position in some:
        encrypted = bytearray(RING.encrypt(repr(one).encode("utf-8", "surrogatepass")))
        if luck == 0:
            encrypted[position % len(encrypted)] ^= 1
        tokens.append(encrypted.decode("latin-1"))
    together = codec.encode(RING.decrypt(tokens), LANDED)
    lines: dict[Hour, list[bytes]] = {}
    for position, token in enumerate(tokens):
        (text,) = RING.decrypt([token])
        found, rejects = one_by_one([text], LANDED)
        assert together.rejects.get(position) == rejects.get(0)
        for hour, made in found.items():
            lines.setdefault(hour, []).extend(made)
    assert {h: sorted(s) for h, s in together.lines.items()} == {h: sorted(s) for h, s in lines.items()}


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_a_keyring_of_two_reads_tokens_of_both(texts: list[bytes]) -> None:
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    tokens = [Fernet(keys[number % 2]).encrypt(text).decode() for number, text in enumerate(texts)]
    assert Keyring.parse(",".join(keys)).decrypt(tokens) == texts


def test_the_hours_of_other_centuries_are_not_taken_for_this_ones() -> None:
    (found,) = row.encode([record(1)], datetime(2100, 1, 1, tzinfo=UTC))
    assert isinstance(found, row.Row)
    assert fast_path.odd_lines(found.line, H0) == []
    assert fast_path.odd_lines(found.line, Hour("1923-03-10-01")) == [found.line]
    assert fast_path.odd_lines(found.line, H0.plus(1)) == [found.line]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'","record_id', b'B","record_id'),
        (b'w","record_id', b'x","record_id'),
        (b'"method":2', b'"method":3'),
        (b'"record_id":1,', b'"record_id":01,'),
        (b'"record_id":1,', b'"record_id":1000000000000000000000,'),
        (b'"inDate":"2303100', b'"inDate":"2303110'),
        (b'0001000"', b'6001000"'),
        (b'"name":"json_logger"', b'"name":"a\\u0061"'),
        (b'"url":', b'"extra":"{}","url":'),
        (b'"levelname":"INFO"', b'"levelname":"INFO","more":"x"'),
        (b'{"user_id"', b'x{"user_id"'),
        (b"}}\n", b"}} \n"),
    ],
)
def test_a_line_that_is_not_plain_is_left_to_be_checked(old: bytes, new: bytes) -> None:
    (found,) = row.encode([record(1, user_id="f" * 64)], LANDED)
    assert isinstance(found, row.Row)
    lines = [found.line, found.line.replace(old, new, 1)]
    assert lines[0] != lines[1]
    # What is left of it tells that something is wrong, and the line beside it is not touched.
    assert b"".join(fast_path.odd_lines(b"".join(lines), H0))
    assert fast_path.odd_lines(lines[0] + lines[0], H0) == []
