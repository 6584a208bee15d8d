"""Sets of lines as one piece of memory: against sets of bytes and the pattern for ids, on any lines."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log_assets.records import lines, lineset
from log_assets.records.ids import ids_of
from log_assets.records.lines import TooLarge
from log_assets.records.lineset import union

# Few letters, so that many lines are alike far into the id, or all along.
USERS = st.text(alphabet="-A_z", min_size=44, max_size=44)
ALIKE = st.builds("{}{}".format, st.sampled_from(["A" * 43, "z" * 43]), st.sampled_from("AQgw"))
RECORD_IDS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-2, 12), st.sampled_from([2**63 - 1, -(2**63)]))
ENDS = st.sampled_from(['"activity":"view"}', '"extra":"{}"}', '"activity":"view","extra":"\\"record_id\\":5"}'])
ROWS = st.builds('{{"user_id":"{}","record_id":{},{}\n'.format, st.one_of(USERS, ALIKE), RECORD_IDS, ENDS)
ODD = st.one_of(
    st.builds('{{"record_id":{}}}\n'.format, RECORD_IDS),
    st.builds('{{"user_id":"{}"}}\n'.format, ALIKE),
    st.builds('{{"user_id":"{}","url":"/","record_id":7}}\n'.format, ALIKE),
    st.text(alphabet='{"user_id:\r\x00\xff', max_size=30).map("{}\n".format),
)
SETS = st.one_of(
    st.lists(st.lists(ROWS, max_size=30), max_size=5), st.lists(st.lists(st.one_of(ROWS, ODD), max_size=10), max_size=5)
)


@settings(max_examples=2000, deadline=None)
@given(SETS, st.integers(1, 40))
def test_union_is_the_sorted_set(texts: list[list[str]], rows: int) -> None:
    sets = [[text.encode() for text in some] for some in texts]
    expected = sorted({line for some in sets for line in some})
    found = union(b"".join(some) for some in sets)
    assert found.content() == b"".join(expected)
    assert list(map(bytes, found.contents(rows))) == [
        b"".join(expected[start : start + rows]) for start in range(0, len(expected) or 1, rows)
    ]
    assert len(found) == len(expected)
    assert found.lengths.tolist() == list(map(len, expected))
    assert found.first(3) == tuple(expected[:3])
    assert sorted(found.record_ids().tolist()) == sorted(ids_of(b"".join(expected), len(expected)).tolist())


def test_members_hold_a_fixed_number_of_rows() -> None:
    some = [b"%06d\n" % number for number in range(2 * lineset.MEMBER_ROWS + 1)]
    packed = lineset.pack(union(some))
    assert packed.data.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") == 3
    assert lines.unpack(packed.data, packed.digest, "x") == b"".join(some)


def test_nothing_makes_one_empty_member() -> None:
    packed = lineset.pack(union([]))
    assert packed.data == lines.member(b"")
    assert lines.unpack(packed.data, packed.digest, "x") == b""


def test_content_beyond_the_limit_is_refused() -> None:
    assert len(union([b"1\n", b"2\n"], 4)) == 2
    with pytest.raises(TooLarge):
        union([b"1\n", b"2\n", b"\n"], 4)


def test_pandas_is_not_imported() -> None:
    # Arrow does when it is given a numpy array, if it is there: that would take longer than to compact most hours.
    script = (
        "import sys; from log_assets.records import lineset as l\n"
        'found = l.union([b\'{"user_id":"%044d","record_id":1,"url":"/products/"}\\n\' % 1] * 2)\n'
        "assert len(l.union([b'b\\n', b'a\\n'])) == 2 and len(l.union([])) == 0\n"
        "assert len(found) == 1 and found.first(1) and found.record_ids() == [1] and l.pack(found)\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
