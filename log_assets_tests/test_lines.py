"""Lines in gzip: what was packed is unpacked, and damage is always seen."""

import gzip
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_assets.errors import Damaged
from log_assets.records import lines

LINES = st.lists(st.binary(max_size=8).map(lambda text: text.replace(b"\n", b"") + b"\n"), max_size=30)


@given(LINES)
def test_what_was_packed_is_unpacked(some: list[bytes]) -> None:
    packed = lines.pack(b"".join(some))
    assert lines.unpack(packed.data, packed.digest, "x") == gzip.decompress(packed.data) == b"".join(some)
    assert packed.size == sum(map(len, some))


@given(st.lists(LINES, min_size=1, max_size=4))
def test_members_in_a_row_are_unpacked(some: list[list[bytes]]) -> None:
    contents = [b"".join(one) for one in some]
    data = b"".join(map(lines.member, contents))
    assert lines.unpack(data, lines.digest(b"".join(contents)), "x") == gzip.decompress(data) == b"".join(contents)


@given(LINES)
def test_content_of_a_set_is_sorted(some: list[bytes]) -> None:
    assert lines.content_of(some) == b"".join(sorted(set(some)))


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
def test_damage_is_an_error_that_names_the_object(damage: Callable[[bytes], bytes]) -> None:
    packed = lines.pack(b"".join(b"%d\n" % number for number in range(100)))
    with pytest.raises(Damaged, match=r"rows/x\.json\.gz"):
        lines.unpack(damage(packed.data), packed.digest, "rows/x.json.gz")


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
