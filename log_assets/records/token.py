"""Fernet tokens, many at a time.

The format is the Fernet specification's: version 0x80, time (8 bytes), IV (16), AES-128-CBC ciphertext, HMAC-SHA256
of all before it (32), in url-safe base64. What is accepted is what `cryptography.fernet.Fernet` accepts, token by
token; the tests hold that. A token's age is not judged: logs are replayed years later.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from log_assets.errors import SettingError
from log_assets.records.reject import Reason, Reject

MAX_PLAINTEXT = 1 << 20
"""Bytes of plaintext; a longer one is rejected before it is decrypted."""

_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
_BLOCK = 16
_VERSION = 0x80
_HEAD = 1 + 8  # version and time
_IV_END = _HEAD + _BLOCK
_MAC = 32
_SHORTEST = _IV_END + _BLOCK + _MAC
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

        Every HMAC of the batch is verified before any ciphertext is looked at; then all ciphertexts of one key are
        decrypted in one call. A bad token touches no other.

        Args:
            tokens: anything that parsed JSON may hold where a token should be.
        """
        results: list[bytes | Reject] = []
        decoded: list[bytes | None] = []
        for token in tokens:
            found = _decode(token)
            decoded.append(found if isinstance(found, bytes) else None)
            results.append(_WRONG_KEY if isinstance(found, bytes) else found)
        by_key: list[list[int]] = []
        left = [position for position, token in enumerate(decoded) if token is not None]
        for key in self._keys:
            verified = [position for position in left if _verify(key, decoded[position] or b"")]
            by_key.append(verified)
            done = set(verified)
            left = [position for position in left if position not in done]
        for key, positions in zip(self._keys, by_key, strict=True):
            plaintexts = _decrypt(key, [(decoded[position] or b"")[_HEAD:-_MAC] for position in positions])
            for position, plaintext in zip(positions, plaintexts, strict=True):
                results[position] = plaintext
        return results


def _decode(token: object) -> bytes | Reject:
    if not isinstance(token, str) or not token:
        return _NO_TEXT
    if len(token) > _LONGEST:
        return _TOO_LARGE
    try:
        data = base64.urlsafe_b64decode(token.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError):
        return _NOT_BASE64
    if len(data) < _SHORTEST or data[0] != _VERSION or (len(data) - _IV_END - _MAC) % _BLOCK:
        return _NOT_FERNET
    if len(data) - _IV_END - _MAC > MAX_PLAINTEXT + _BLOCK:
        return _TOO_LARGE
    return data


def _verify(key: _Key, token: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(key.signing, token[:-_MAC], "sha256"), token[-_MAC:])


def _decrypt(key: _Key, parts: Sequence[bytes]) -> list[bytes | Reject]:
    """Plaintexts of verified ``IV | ciphertext`` parts.

    In CBC a block is decrypted with the block before it. So in the parts joined, each ciphertext finds its own IV
    before it, and only the IVs' own places hold nonsense, which is dropped.
    """
    if not parts:
        return []
    decryptor = Cipher(AES(key.encryption), CBC(bytes(_BLOCK))).decryptor()
    joined = decryptor.update(b"".join(parts)) + decryptor.finalize()
    results: list[bytes | Reject] = []
    start = 0
    for part in parts:
        end = start + len(part)
        padding = joined[end - 1]
        if 1 <= padding <= _BLOCK and joined[end - padding : end] == bytes([padding]) * padding:
            plaintext = joined[start + _BLOCK : end - padding]
            results.append(plaintext if len(plaintext) <= MAX_PLAINTEXT else _TOO_LARGE)
        else:
            results.append(_NOT_FERNET)
        start = end
    return results
