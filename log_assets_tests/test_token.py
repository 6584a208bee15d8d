"""Tokens: the batched path against `Fernet`, one by one, and the specification's vectors through both."""

import base64
import json
import re
from importlib.resources import files
from typing import Any

import cryptography
import cryptography_vectors
import pytest
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from hypothesis import given, settings
from hypothesis import strategies as st

from log_assets.errors import SettingError
from log_assets.records.reject import Reason, Reject
from log_assets.records.token import MAX_PLAINTEXT, Keyring
from log_assets_tests.kit import DATA

# Fixed, so that test names are the same in every worker.
KEYS = [base64.urlsafe_b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3)]
RING = Keyring.parse(",".join(KEYS[:2]))
PLAIN = MultiFernet([Fernet(key) for key in KEYS[:2]])


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((files(cryptography_vectors) / "fernet" / f"{name}.json").read_text())
    assert found
    return found


def plain(token: object) -> bytes | None:
    """The oracle: `Fernet`'s own answer, token by token; padding may be left out, as for the one in Rust."""
    if not isinstance(token, str):
        return None
    whole = token.rstrip("=")
    padded = whole + "=" * (-len(whole) % 4)
    for text in (token, padded) if len(token) - len(whole) <= 2 and re.fullmatch("[A-Za-z0-9_-]+", whole) else (token,):
        try:
            return PLAIN.decrypt(text)
        except (InvalidToken, ValueError):
            continue
    return None


IN_RUST = int(cryptography.__version__.split(".")[0]) > 50
"""Fernet is in Rust after release 50, with a decoder of its own."""

TOKEN_FORMS = json.loads((DATA / "tokens.json").read_text())
"""One token in many spellings, and which of the two decoders takes each: tried on both of them."""


@pytest.mark.parametrize("form", TOKEN_FORMS["tokens"], ids=lambda form: str(form["what"]))
def test_a_token_that_either_fernet_accepts_is_accepted(form: dict[str, Any]) -> None:
    key, plaintext = TOKEN_FORMS["key"], TOKEN_FORMS["plaintext"].encode()
    # Alone, and in a batch whose other tokens need no lenience.
    ring = Keyring.parse(key)
    good = ring.encrypt(b"good").decode()
    for found in (ring.decrypt([form["token"]])[0], ring.decrypt([good, form["token"], good])[1]):
        assert (found == plaintext) is (form["python"] or form["rust"])
    try:
        installed = Fernet(key).decrypt(form["token"]) == plaintext
    except (InvalidToken, ValueError):
        installed = False
    assert installed is form["rust" if IN_RUST else "python"], "the installed one decides otherwise than was noted"


@pytest.mark.parametrize("name", ["generate", "verify"])
def test_valid_vectors_of_the_specification(name: str) -> None:
    for vector in vectors(name):
        assert Keyring.parse(vector["secret"]).decrypt([vector["token"]]) == [vector["src"].encode()]


def test_invalid_vectors_of_the_specification() -> None:
    by_time = 0
    for vector in vectors("invalid"):
        (found,) = Keyring.parse(vector["secret"]).decrypt([vector["token"]])
        try:
            expected = Fernet(vector["secret"]).decrypt(vector["token"])
        except InvalidToken:
            assert isinstance(found, Reject), vector["desc"]
        else:
            # Invalid by its age alone, which is not judged here.
            by_time += 1
            assert found == expected, vector["desc"]
    assert by_time == 2


def _damage(token: bytes, how: str, position: int) -> object:
    text = token.decode()
    position %= len(text)
    match how:
        case "flip":
            return text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]
        case "cut":
            return text[:position]
        case "space":
            return text[:position] + " \n" + text[position:]
        case "standard":
            return text.replace("-", "+").replace("_", "/")
        case "unicode":
            return text[:position] + "é" + text[position:]
        case "foreign":
            return Fernet(KEYS[2]).encrypt(b"x").decode()
        case "none":
            return None
        case "bytes":
            raw = bytearray(base64.urlsafe_b64decode(text))
            raw[position % len(raw)] ^= 1 + position % 255
            return base64.urlsafe_b64encode(raw).decode()
    return text


TOKENS = st.builds(
    lambda key, text, how, position: _damage(Fernet(KEYS[key]).encrypt(text), how, position),
    st.integers(0, 1),
    st.binary(max_size=100),
    st.sampled_from(["", "", "", "flip", "cut", "space", "standard", "unicode", "foreign", "none", "bytes"]),
    st.integers(0, 10_000),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(TOKENS | st.text(max_size=200), max_size=12))
def test_a_batch_gives_what_fernet_gives_token_by_token(tokens: list[object]) -> None:
    found = RING.decrypt(tokens)
    assert [None if isinstance(one, Reject) else one for one in found] == [plain(token) for token in tokens]


def test_a_bad_token_in_the_middle_touches_no_other() -> None:
    tokens: list[object] = [RING.encrypt(b"%d" % number).decode() for number in range(99)]
    tokens[50] = _damage(str(tokens[50]).encode(), "bytes", 40)
    found = RING.decrypt(tokens)
    assert found[50] == Reject(Reason.KEY)
    assert found[:50] + found[51:] == [b"%d" % number for number in range(99) if number != 50]


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (None, Reason.NO_TOKEN),
        (5, Reason.NO_TOKEN),
        ("", Reason.NO_TOKEN),
        ({"a": 1}, Reason.NO_TOKEN),
        ("no base64!", Reason.NO_TOKEN),
        ("é", Reason.NO_TOKEN),
        ("AAAA", Reason.NO_TOKEN),
        (Fernet(KEYS[2]).encrypt(b"x").decode(), Reason.KEY),
        (_damage(Fernet(KEYS[0]).encrypt(b"x"), "bytes", 30), Reason.KEY),
    ],
    ids=["null", "number", "empty", "object", "not base64", "not ASCII", "too short", "wrong key", "tampered"],
)
def test_why_a_token_was_rejected(token: object, reason: Reason) -> None:
    (found,) = RING.decrypt([token])
    assert isinstance(found, Reject)
    assert found.reason is reason


def test_a_plaintext_of_ten_megabytes_is_rejected_before_it_is_decrypted() -> None:
    small, large, limit = (RING.encrypt(bytes(size)).decode() for size in (10, 10 << 20, MAX_PLAINTEXT))
    found = RING.decrypt([small, large, limit])
    assert found[0] == bytes(10)
    assert isinstance(found[1], Reject)
    assert found[1].reason is Reason.TOO_LARGE
    assert found[2] == bytes(MAX_PLAINTEXT)


@pytest.mark.parametrize("text", ["", "short", KEYS[0] + ",", "é" * 44, KEYS[0][:-1], f"{KEYS[0]},{KEYS[1]}x="])
def test_a_malformed_key_names_the_variable_and_never_itself(text: str) -> None:
    with pytest.raises(SettingError, match="f_key is malformed") as caught:
        Keyring.parse(text)
    assert not text or text not in str(caught.value)


def test_a_keyring_shows_no_key() -> None:
    shown = repr(RING) + str(RING) + repr(RING._keys)
    for key in KEYS:
        raw = base64.urlsafe_b64decode(key)
        assert key not in shown
        assert repr(raw[:16])[2:-1] not in shown
