"""Payloads: what JSON and Python read of a text, and what is rejected within bounded time and memory."""

import ast
import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from log_assets.records import payload
from log_assets.records.reject import Reason, Reject
from log_assets_tests.bad_payloads import BAD
from log_assets_tests.strategies import RECORDS, TEXTS, same

BOUND = 64 << 20


def parse(text: bytes | str) -> Any:
    (found,) = payload.parse([text.encode() if isinstance(text, str) else text])
    return found


@settings(max_examples=500, deadline=None)
@given(RECORDS)
def test_the_repr_and_the_json_of_a_record_are_read(record: dict[str, Any]) -> None:
    assert same(parse(repr(record)), record)
    assert same(parse(json.dumps(record)), record)
    assert same(parse(json.dumps(record, ensure_ascii=False)), record)


LITERALS = st.recursive(
    st.one_of(
        st.sampled_from(
            ["True", "None", "true", "null", "nan", "1_000", "0x1F", "0b1", "007", "1.", ".5", "1e5", "1j"]
        ),
        st.sampled_from(["-1", "+1", "--1", "- 1", "1e400", "-0", "-0.0", "'a' 'b'", "u'x'", "b'x'", "r'x'", "(1)"]),
        st.sampled_from(
            [r"'\d'", r"'\x41'", r"'\u00e9'", r"'\U0001F600'", r"'\101'", r"'\ud800'", r"'\N{DASH}'", "''"]
        ),
        st.sampled_from(
            [
                "'it\"s'",
                '"it\'s"',
                r"'it\'s'",
                "'a\\\nb'",
                "'a\\\rb'",
                "'''abc'''",
                "'''a'b'''",
                "'a''b'",
                "...",
                "'#'",
                "1+2j",
                "{1, 2}",
                "()",
            ]
        ),
        TEXTS.map(repr),
        st.integers().map(repr),
        st.floats().map(repr),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)},]"),
        st.lists(st.tuples(TEXTS.map(repr) | inner, inner), max_size=3).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.tuples(TEXTS.map(repr), LITERALS), max_size=3))
@example([("'a'", "true")])
@example([("'a'", "'true'"), ("'b'", "true")])
def test_what_is_accepted_is_what_python_and_json_read(items: list[tuple[str, str]]) -> None:
    text = "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
    found = parse(text)
    expected: Any = None
    for read in (json.loads, ast.literal_eval):
        try:
            expected = read(text)
            break
        except (ValueError, SyntaxError, TypeError):
            continue
    if not isinstance(found, Reject):
        assert same(found, expected), text


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.text("{}[]'\"\\,:1-+ab", max_size=40).map(str.encode)
)
def test_no_text_raises(text: bytes) -> None:
    assert isinstance(parse(text), dict | Reject)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'a': 'True'}", {"a": "True"}),
        ("""{'a': "it's", 'b': 'say "no"', 'c': '\\\\'}""", {"a": "it's", "b": 'say "no"', "c": "\\"}),
        ("""{'a': '", "b": "'}""", {"a": '", "b": "'}),
        ("{'a': 1, 'a': 2}", {"a": 2}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ("{'Key': 1, 'key': 2}", {"Key": 1, "key": 2}),
        ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        ("{'a': 18446744073709551616}", {"a": 2**64}),
        ("{'a': 2.0, 'b': 2, 'c': True, 'd': -0.0}", {"a": 2.0, "b": 2, "c": True, "d": -0.0}),
        ("{}", {}),
        # A text that holds the record, in either spelling, once or twice.
        (json.dumps('{"a": "it\'s", "b": 2.0}'), {"a": "it's", "b": 2.0}),
        (json.dumps("{'a': 'say \"no\"'}"), {"a": 'say "no"'}),
        (repr('{"a": null}'), {"a": None}),
        (json.dumps(json.dumps('{"a": 1}')), {"a": 1}),
        ("{'a': 'x' 'y'}", {"a": "xy"}),
        ("{'a': '' 'y'}", {"a": "y"}),
    ],
)
def test_the_meaning_is_kept(text: str, expected: dict[str, Any]) -> None:
    assert same(parse(text), expected)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_rejected_with_its_reason_in_bounded_time_and_memory(name: str) -> None:
    text, reason = BAD[name]
    tracemalloc.start()
    start = time.process_time()
    try:
        found = parse(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(found, Reject)
    assert found.reason is reason, found
    assert peak < BOUND
    # Not a speed test: what would grow with the square of a megabyte would take hours.
    assert time.process_time() - start < 30


@pytest.mark.parametrize("text", [b"{'a': [" + b"1," * 500_000 + b"]}", b'{"a": [' + b"1," * 500_000 + b"1]}"])
def test_a_megabyte_of_small_values_is_read_in_bounded_memory(text: bytes) -> None:
    tracemalloc.start()
    try:
        found = parse(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found["a"]) >= 500_000
    assert peak < BOUND


def test_the_deepest_that_is_allowed_is_read() -> None:
    deep: Any = 1
    for _ in range(63):
        deep = [deep]
    assert same(parse(json.dumps({"a": deep})), {"a": deep})
    assert same(parse(repr({"a": deep})), {"a": deep})
    assert same(parse(repr({"a": deep, "b'\"": 1})), {"a": deep, "b'\"": 1})


def test_an_integer_of_4300_digits_is_read() -> None:
    assert parse(b"{'a': " + b"9" * 4300 + b"}") == {"a": int("9" * 4300)}


def test_rejects_pass_through() -> None:
    reject = Reject(Reason.KEY)
    assert payload.parse([b"{}", reject]) == [{}, reject]
