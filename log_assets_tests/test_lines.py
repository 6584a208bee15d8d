"""Sorted sets of lines: bytes that depend on the rows alone, and damage that is always seen."""

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_assets.errors import Damaged
from log_assets.records import lines

LINES = st.lists(
    st.binary(max_size=8).map(lambda text: text.replace(b"\n", b"").replace(b"\r", b"") + b"\n"), max_size=30
)


@given(LINES)
def test_what_was_packed_is_unpacked(some: list[bytes]) -> None:
    packed = lines.pack_lines(some)
    assert lines.split(lines.unpack(packed.data, packed.digest, "x")) == some
    assert packed.size == sum(map(len, some))
    assert gzip.decompress(packed.data) == b"".join(some)


@given(st.lists(LINES, max_size=4))
def test_union_is_the_sorted_set(some: list[list[bytes]]) -> None:
    assert lines.union(some) == sorted({line for one in some for line in one})


def test_members_hold_a_fixed_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [b"%06d\n" % number for number in range(2 * lines.MEMBER_ROWS + 1)]
    packed = lines.pack_lines(some)
    assert packed.data.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") == 3
    assert lines.split(lines.unpack(packed.data, packed.digest, "x")) == some


def test_nothing_makes_one_empty_member() -> None:
    packed = lines.pack_lines([])
    assert gzip.decompress(packed.data) == b""
    assert lines.unpack(packed.data, packed.digest, "x") == b""


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data + b"garbage",
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
        lambda data: b"plain text, no gzip",
        lambda data: gzip.compress(b"other content\n"),
    ],
)
def test_damage_is_an_error_that_names_the_object(damage: object) -> None:
    packed = lines.pack_lines([b"%d\n" % number for number in range(100)])
    with pytest.raises(Damaged, match=r"rows/x\.json\.gz"):
        lines.unpack(damage(packed.data), packed.digest, "rows/x.json.gz")  # type: ignore[operator]


def test_a_gzip_bomb_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(bytes(200 << 20), 9)
    tracemalloc.start()
    try:
        with pytest.raises(Damaged, match="more than 1,048,576 bytes"):
            lines.unpack(bomb, "0" * 32, "raw/x.json.gz", limit=1 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
