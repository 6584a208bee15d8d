"""An error that nobody foresaw: a line for the terminal, its traceback in a file, and no secret in either."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
import traceback
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from log_assets.errors import shown

FOLDER = "errors"
_ONLY_OWNER = 0o600
_OWNERS_FOLDER = 0o700

_URL = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
# What Fernet writes, keys of AWS, and what goes with a request.
_TOKENS = re.compile(r"\bgAAAA[\w=-]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|(?i:\b(?:bearer|basic) )[\w.=+/-]{6,}")
_NAMES = re.compile(r"key|secret|token|passw|credential|header|auth", re.IGNORECASE)
# A shorter text stands in too many places that are no secret.
_LEAST = 4


def report(error: BaseException, command: str) -> tuple[str, str]:
    """The line for the terminal, and the traceback: both without secrets. The traceback is in a file, too.

    Args:
        error: what was raised.
        command: the command that ended by it, without its arguments: SQL may hold what is personal.
    """
    text = redacted("".join(traceback.format_exception(error)))
    head = f"log-assets {version('log_assets')} {command}, Python {platform.python_version()}, {platform.platform()}\n"
    kind = type(error).__name__
    said = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    place = _written(kind, head + text)
    where = f"send {place}, which holds no secret known to it" if place else "run it with --debug for the traceback"
    return f"unforeseen {kind}{said}: please report it: {where}", head + text


def redacted(text: str) -> str:
    """Text without the secrets of the environment, URLs without what `shown` leaves out."""
    for name, secret in sorted(_secrets(), key=lambda one: len(one[1]), reverse=True):
        text = text.replace(secret, f"[{name}]")
    return _TOKENS.sub("[a token]", _URL.sub(lambda found: shown(found[0]), text))


def _secrets() -> Iterator[tuple[str, str]]:
    """Values that are secret by their variable's name, and what a URL of any variable holds; as text is written too."""
    for name, value in os.environ.items():
        found = [value, *re.split(r"[,;\s]+", value)] if _NAMES.search(name) else []
        if "://" in value:
            found += _of_url(value)
        for one in found:
            for secret in {one, unquote(one), repr(one)[1:-1]}:
                if len(secret) >= _LEAST:
                    yield name, secret


def _of_url(url: str) -> Iterator[str]:
    yield url
    _, _, rest = url.partition("://")
    # Up to the last @, since a password may hold one, or a slash.
    user, mark, _ = rest.rpartition("@")
    yield from [user, *user.split(":", 1)] if mark else []
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    for pair in (*parts.query.split("&"), parts.fragment):
        value = pair.partition("=")[2] or pair
        # The places of a range are no secret.
        if value not in ("{start}", "{end}"):
            yield value


def _written(kind: str, text: str) -> Path | None:
    """A file of its owner's, the same for the same error, so that a program that is restarted fills no disk."""
    home = Path(os.environ.get("LOG_ASSETS_HOME") or ".log_assets").absolute()
    name = f"{kind}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:12]}.txt"
    try:
        if not home.is_dir():
            number, temporary = tempfile.mkstemp(prefix="log-assets-", suffix=f"-{name}")
            file = Path(temporary)
        else:
            (home / FOLDER).mkdir(mode=_OWNERS_FOLDER, exist_ok=True)
            file = home / FOLDER / name
            number = os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, _ONLY_OWNER)
        with os.fdopen(number, "w", encoding="utf-8", errors="replace") as opened:
            opened.write(text)
    except (OSError, ValueError):
        return None
    return file
