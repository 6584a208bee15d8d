"""Bodies that everybody else reads: whatever form a list of items has, its items are read, none is lost."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log_assets.records import envelope
from log_assets.records.reject import Reason
from log_assets.steps.capture import put_window
from log_assets.steps.receipts import Receipt
from log_assets_tests.bodies import PACKINGS, TEXTS
from log_assets_tests.kit import Kit, record

ITEMS = [{"recordId": number, "ArrivalTimeStamp": 1678412891.818, "data": f"token {number}"} for number in range(1, 5)]
LIST = json.dumps(ITEMS)
ONE = json.dumps(ITEMS[0])


def tokens(found: envelope.Envelope) -> list[object]:
    return envelope.tokens(found.items)


def details(found: envelope.Envelope) -> list[str]:
    return [reject.detail for reject, _ in found.unread]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("form", TEXTS)
def test_a_whole_body_is_read_whole(form: str, packing: str) -> None:
    found = envelope.read(PACKINGS[packing](TEXTS[form](ITEMS)))
    assert (tokens(found), found.unread) == ([one["data"] for one in ITEMS], [])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(TEXTS)), st.sampled_from(["", "\n", " ", ",", "\r\n\r\n"])), max_size=5)
)
def test_whole_bodies_appended_to_each_other_are_read_whole(parts: list[tuple[str, str]]) -> None:
    text = "".join(TEXTS[form](ITEMS) + between for form, between in parts)
    found = envelope.read(text.encode())
    assert (tokens(found), found.unread) == ([one["data"] for one in ITEMS] * len(parts), [])


BROKEN: dict[str, tuple[bytes, int, list[str]]] = {
    "a list that breaks off": (LIST[:-30].encode(), 3, ["the list breaks off"]),
    "a list that breaks off, and another behind it": (
        (LIST[:-30] + "\n" + LIST).encode(),
        7,
        ["no JSON object"],
    ),
    "a list with an item that is broken": (LIST.replace('"token 2"', '"token 2').encode(), 3, ["no JSON object"]),
    "lines of which one is broken": (f"{ONE}\n{ONE[:20]}\n{ONE}".encode(), 2, ["no JSON object"]),
    "lines of which one is a word": (f"{ONE}\nstarted\n{ONE}".encode(), 2, ["no JSON object"]),
    "lines of which one is a number": (f"{ONE}\n17\n{ONE}".encode(), 2, ["no JSON object"]),
    "lines of which one has bytes that are no UTF-8": (
        f"{ONE}\n".encode() + ONE.encode().replace(b"{", b'{"x": "\xff", ') + b"\n\xfe",
        2,
        ["no JSON object"],
    ),
    "gzip that is cut short": (
        gzip.compress(LIST.encode(), 0)[:-60],
        3,
        ["the list breaks off", "gzip that is cut short"],
    ),
    "gzip with something else behind it": (gzip.compress(LIST.encode()) + b"trailer", 4, ["gzip that is "]),
    "UTF-16 that is cut within a letter": (LIST.encode("utf-16")[:-41], 3, ["the list breaks off"]),
    "HTML": (b"<html>\n<p>maintenance</p>\n</html>", 0, ["neither JSON nor JSON a line"]),
    "brotli": (b"\x1b\x02\x00\xf8\x05[1]\xff\x03", 0, ["neither JSON nor gzip: not UTF-8"]),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00", 0, ["neither JSON nor gzip: zstd"]),
    "an object with no list": (b'{"error": "no"}', 0, ["a JSON dict, and no list of items"]),
    "a number": (b"17", 0, ["a JSON int"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_of_a_broken_body_the_rest_is_read(name: str) -> None:
    body, items, reasons = BROKEN[name]
    found = envelope.read(body)
    assert len(found.items) == items
    assert len(found.unread) == len(reasons)
    for detail, expected in zip(details(found), reasons, strict=True):
        assert detail.startswith(expected)
    assert all(reject.reason is Reason.NOT_A_LIST for reject, _ in found.unread)


@pytest.mark.parametrize("unit", ["[\n", '{"a":[0,\n', '{"a":\n', '"x\n', "1,\n", "}, {", '[{"a":[[1],'])
def test_hostile_bodies_take_bounded_time(unit: str) -> None:
    """By the number of characters that the parser is given, in all, to begin at."""
    text = unit * (200_000 // len(unit))
    given_to_parser = 0

    class Counting(json.JSONDecoder):
        def raw_decode(self, text: str, idx: int = 0) -> tuple[Any, int]:
            nonlocal given_to_parser
            try:
                value, end = super().raw_decode(text, idx)
            except json.JSONDecodeError as error:
                given_to_parser += error.pos - idx + 1
                raise
            except RecursionError:
                given_to_parser += len(text) - idx
                raise
            given_to_parser += end - idx
            return value, end

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json, "JSONDecoder", Counting)
        found = envelope.read(text.encode())
    assert 0 < given_to_parser < 6 * len(text)
    assert found.unread


def test_windows_in_any_form_make_the_same_rows(kit: Kit) -> None:
    one = record(1)
    token = kit.keyring.encrypt(repr(one).encode()).decode()
    digests = set()
    for form in TEXTS:
        for packing in PACKINGS:
            window = put_window(kit.lake, PACKINGS[packing](TEXTS[form]([{"recordId": 1, "data": token}])), kit.now())
            receipt = kit.transform(window)
            assert isinstance(receipt, Receipt)
            assert (receipt.records, receipt.kept) == (1, 1), (form, packing)
            digests |= {key.rsplit("-", 1)[1] for key in receipt.rows}
    assert len(digests) == 1


def test_a_reject_with_nan_beside_it_is_still_json(kit: Kit) -> None:
    window = put_window(kit.lake, b'[{"data": "no token", "score": NaN}]', kit.now())
    receipt = kit.transform(window)
    assert isinstance(receipt, Receipt)
    assert receipt.rejects_key
    (line,) = gzip.decompress(kit.lake.get(receipt.rejects_key)).splitlines()

    def refuse(name: str) -> None:
        raise AssertionError(name)

    told = json.loads(line, parse_constant=refuse)
    assert told["item"] == '{"data": "no token", "score": NaN}'


@pytest.mark.parametrize(
    ("body", "empty"),
    [(b"", True), (b" \n", True), (b"[]", True), (b"[ ]\n", True), (b"\xef\xbb\xbf[]", True), (b"[1]", False)],
)
def test_what_holds_nothing_is_known(body: bytes, empty: bool) -> None:
    assert envelope.is_empty(body) is empty
