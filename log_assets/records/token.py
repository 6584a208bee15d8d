"""Fernet tokens, many at a time.

The format is the Fernet specification's: version 0x80, time (8 bytes), IV (16), AES-128-CBC ciphertext, HMAC-SHA256
of all before it (32), in url-safe base64. What is accepted is what `cryptography.fernet.Fernet` accepts, token by
token, in Python (to release 50: CPython's decoder, which passes over what is no base64) or in Rust (those after it:
padding may be left out); the tests hold that. A token's age is not judged: logs are replayed years later.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from pybase64 import b64decode

from log_assets.errors import SettingError
from log_assets.records.reject import Reason, Reject

MAX_PLAINTEXT = 1 << 20
"""Bytes of plaintext; a longer one is rejected before it is decrypted."""

_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
_UNPADDED = re.compile(rb"([A-Za-z0-9_-]+)={0,2}")
_BLOCK = 16
_VERSION = 0x80
_VERSIONS = {_VERSION}
_HEAD = 1 + 8  # version and time
_IV_END = _HEAD + _BLOCK
_MAC = 32
_SHORTEST = _IV_END + _BLOCK + _MAC
_MOST = _IV_END + MAX_PLAINTEXT + _BLOCK + _MAC
_REST = _SHORTEST % _BLOCK
_PLACES = np.arange(_BLOCK)
_URL_SAFE = b"-_"
# White space and the like may stand in a token; what is far longer than it could be is not even decoded.
_LONGEST = 2 * (_SHORTEST + MAX_PLAINTEXT)

_NOT_BASE64 = Reject(Reason.NO_TOKEN, "not base64")
_NOT_FERNET = Reject(Reason.NO_TOKEN, "not a Fernet token")
_NO_TEXT = Reject(Reason.NO_TOKEN, "no text")
_TOO_LARGE = Reject(Reason.TOO_LARGE, f"more than {MAX_PLAINTEXT} bytes")
_WRONG_KEY = Reject(Reason.KEY)


@dataclass(frozen=True, slots=True)
class _Key:
    signing: bytes = field(repr=False)
    encryption: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Fernet keys, the newest first; its text form shows none of them."""

    _keys: tuple[_Key, ...] = field(repr=False)
    _newest: Fernet = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """The keys of the setting `f_key`: url-safe base64 of 32 bytes each, with commas between, newest first.

        Raises:
            SettingError: a key is malformed. The text names the variable and never the key.
        """
        parts = [part.strip() for part in text.split(",")]
        if not all(_KEY.fullmatch(part) for part in parts):
            raise SettingError(
                "f_key is malformed: a Fernet key is 44 characters of url-safe base64 (log-assets keygen makes one); "
                "several go with commas between, newest first"
            )
        raw = [base64.urlsafe_b64decode(part) for part in parts]
        return cls(tuple(_Key(key[:_BLOCK], key[_BLOCK:]) for key in raw), Fernet(parts[0]))

    @staticmethod
    def generate() -> str:
        return Fernet.generate_key().decode()

    def encrypt(self, plaintext: bytes) -> bytes:
        """A token of the newest key."""
        return self._newest.encrypt(plaintext)

    def seal(self, plaintext: bytes, seconds: int, iv: bytes) -> bytes:
        """A token of the newest key with its time (seconds since 1970) and IV given.

        For demo records, which are the same bytes whenever they are made; a secret needs `encrypt` and its random IV.
        """
        key = self._keys[0]
        padding = _BLOCK - len(plaintext) % _BLOCK
        encryptor = Cipher(AES(key.encryption), CBC(iv)).encryptor()
        ciphertext = encryptor.update(plaintext + bytes([padding]) * padding) + encryptor.finalize()
        head = bytes([_VERSION]) + seconds.to_bytes(8, "big") + iv + ciphertext
        return base64.urlsafe_b64encode(head + hmac.digest(key.signing, head, "sha256"))

    def decrypt(self, tokens: Sequence[object]) -> list[bytes | Reject]:
        """The plaintext of each token, or why there is none; same length and order.

        Every HMAC of the batch is verified before any ciphertext is used; then all ciphertexts of one key are
        decrypted in one call. A bad token touches no other.

        Args:
            tokens: anything that parsed JSON may hold where a token should be.
        """
        results = _decode(tokens)
        by_key: list[list[int]] = []
        left = [position for position, found in enumerate(results) if isinstance(found, bytes)]
        for key in self._keys:
            verified = _verified(key, results, left)
            by_key.append(verified)
            if len(verified) == len(left):
                left = []
                break
            done = set(verified)
            left = [position for position in left if position not in done]
        for position in left:
            results[position] = _WRONG_KEY
        for key, positions in zip(self._keys, by_key, strict=False):
            verified_tokens: list[bytes] = [results[position] for position in positions]  # type: ignore[misc]
            for position, plaintext in zip(positions, _decrypt(key, verified_tokens), strict=True):
                results[position] = plaintext
        return results


def _decode(tokens: Sequence[object]) -> list[bytes | Reject]:
    """Each token's bytes, of a length that a Fernet token may have."""
    try:
        if max(map(len, tokens), default=0) <= _LONGEST:  # type: ignore[arg-type]
            # What this strict decoder takes, `Fernet` reads the same; whatever it refuses is decoded one by one.
            decoded = [b64decode(token, _URL_SAFE, True) for token in tokens]  # type: ignore[arg-type]
            if all(map(_may_be_length, set(map(len, decoded)))) and {data[0] for data in decoded} <= _VERSIONS:
                return list(decoded)
    except (TypeError, ValueError):
        pass
    return [_decode_exactly(token) for token in tokens]


def _may_be_length(length: int) -> bool:
    return length % _BLOCK == _REST and _SHORTEST <= length <= _MOST


def _decode_exactly(token: object) -> bytes | Reject:
    if not isinstance(token, str) or not token:
        return _NO_TEXT
    if len(token) > _LONGEST:
        return _TOO_LARGE
    try:
        text = token.encode("ascii")
        if match := _UNPADDED.fullmatch(text):
            text = match[1] + b"=" * (-len(match[1]) % 4)
        data = base64.urlsafe_b64decode(text)
    except (binascii.Error, UnicodeEncodeError):
        return _NOT_BASE64
    if len(data) < _SHORTEST or data[0] != _VERSION or len(data) % _BLOCK != _REST:
        return _NOT_FERNET
    return data if len(data) <= _MOST else _TOO_LARGE


def _verified(key: _Key, tokens: Sequence[bytes | Reject], positions: Sequence[int]) -> list[int]:
    """Those positions whose token bears a MAC of this key."""
    # HMAC's two halves are begun once and copied for each token: that takes half the time of `hmac.digest`.
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in key.signing.ljust(64, b"\0"))) for pad in (0x36, 0x5C))
    computed, borne = [], []
    for position in positions:
        token: bytes = tokens[position]  # type: ignore[assignment]
        message = inner.copy()
        message.update(token[:-_MAC])
        mac = outer.copy()
        mac.update(message.digest())
        computed.append(mac.digest())
        borne.append(token[-_MAC:])
    if hmac.compare_digest(b"".join(computed), b"".join(borne)):
        return list(positions)
    pairs = zip(positions, computed, borne, strict=True)
    return [position for position, ours, theirs in pairs if hmac.compare_digest(ours, theirs)]


def _decrypt(key: _Key, tokens: Sequence[bytes]) -> list[bytes | Reject]:
    """Plaintexts of verified tokens.

    In CBC a block is decrypted with the block before it. So in the ``IV | ciphertext`` parts joined, each ciphertext
    finds its own IV before it, and only the IVs' own places hold nonsense, which is dropped.
    """
    if not tokens:
        return []
    decryptor = Cipher(AES(key.encryption), CBC(bytes(_BLOCK))).decryptor()
    joined = decryptor.update(b"".join([token[_HEAD:-_MAC] for token in tokens])) + decryptor.finalize()
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens)) - _HEAD - _MAC
    ends = lengths.cumsum()
    starts = ends - lengths + _BLOCK
    # PKCS#7: the last byte of the last block tells how many bytes are padding, and each of those is that number.
    last = np.frombuffer(joined, np.uint8)[ends[:, None] - _BLOCK + _PLACES]
    paddings = last[:, -1].astype(np.int64)
    is_padding = _BLOCK - paddings[:, None] <= _PLACES
    good = (paddings >= 1) & (paddings <= _BLOCK) & ((last == paddings[:, None]) | ~is_padding).all(axis=1)
    results: list[bytes | Reject] = [
        joined[start:end] for start, end in zip(starts.tolist(), (ends - paddings).tolist(), strict=True)
    ]
    for position in np.flatnonzero(~good).tolist():
        results[position] = _NOT_FERNET
    for position in np.flatnonzero(good & (ends - paddings - starts > MAX_PLAINTEXT)).tolist():
        results[position] = _TOO_LARGE
    return results
