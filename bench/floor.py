"""The floor: the C calls that no program can do without, and nothing between them.

Base64, HMAC-SHA256 and AES-CBC of every token, one parse of all texts joined, and one gzip of the hour's lines, at the
library, level and order that this project uses. Tokens and lines are there before the clock starts.
"""

import hmac
import json
import time
from pathlib import Path

import deflate
import orjson
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from pybase64 import b64decode, urlsafe_b64decode

from bench import data as bench_data
from log_assets.records import codec, lines
from log_assets.records.lineset import MEMBER_ROWS, union

_AT_ONCE = 4096


def run(data: Path, out: Path, cores: int) -> float:
    """Gives the seconds."""
    key = urlsafe_b64decode((data / "f_key").read_text())
    tokens = [item["data"] for file in bench_data.bodies(data) for item in json.loads(file.read_bytes())]
    mix = (data / "mix").read_text()
    records = list(bench_data.records(mix, range(len(tokens)), len(tokens)))
    found = [
        line
        for some in codec.encode([repr(one).encode() for one in records], bench_data.BASE).lines.values()
        for line in some
    ]
    members = [bytes(content) for content in union(found).contents(MEMBER_ROWS)]
    texts = [repr(one).encode() for one in records if "'" not in one["name"]]
    swap = bytes.maketrans(b"'", b'"')
    joined = [b"[" + b",".join(texts[i : i + _AT_ONCE]) + b"]" for i in range(0, len(texts), _AT_ONCE)]
    joined = [text.translate(swap).replace(b"None", b"null") for text in joined]
    del records, texts

    start = time.process_time()
    for position in range(0, len(tokens), _AT_ONCE):
        decoded = [b64decode(token, b"-_", True) for token in tokens[position : position + _AT_ONCE]]
        for token in decoded:
            hmac.digest(key[:16], token, "sha256")
        decryptor = Cipher(AES(key[16:]), CBC(bytes(16))).decryptor()
        decryptor.update(b"".join(decoded)[: -(sum(map(len, decoded)) % 16) or None])
    for text in joined:
        orjson.loads(text)
    for member in members:
        deflate.gzip_compress(member, lines.KEPT_LEVEL)
    return time.process_time() - start
