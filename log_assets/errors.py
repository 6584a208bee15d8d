"""The family of errors a user may meet: each message says what was wrong, where, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager


class LogAssetsError(Exception):
    """Base of every error that is meant for the user; its text is one helpful sentence."""


class SettingError(LogAssetsError):
    """A setting is missing or malformed; the text names its variable."""


class HourError(LogAssetsError, ValueError):
    """A text that should name an hour, and does not."""


class SourceError(LogAssetsError):
    """The source could not be read, or answered with something that is no window.

    `retry_after` is for how many seconds the source asked to be left alone; None when it said nothing of it.
    """

    retry_after: float | None = None


class LakeError(LogAssetsError):
    """The lake could not be read or written."""


class NoLake(LakeError):
    """No lake was made where the settings point."""

    def __init__(self, url: str) -> None:
        super().__init__(f"no lake here: run log-assets init ({url} is none; LAKE_URL and LOG_ASSETS_HOME name it)")


class NotFound(LakeError):
    """No object stands at that key."""


class Damaged(LakeError):
    """An object whose content does not match the digest in its name; the text names the object."""


class Unreadable(LakeError):
    """An object that this program stumbled over, in a way that nobody foresaw; the text names the object."""


class CatalogError(LogAssetsError):
    """The catalog could not be read or written."""


class QueryError(LogAssetsError):
    """The query engine refused or failed a query."""


@contextmanager
def failure_of(name: str) -> Iterator[None]:
    """Whatever goes wrong inside is the failure of the object `name` and of nothing else.

    Raises:
        Unreadable: for anything that is not one of these errors already: RecursionError and MemoryError too. Its text
            tells the kind of error and not its words, which may hold what the object holds.
    """
    try:
        yield
    except LogAssetsError:
        raise
    except Exception as error:
        raise Unreadable(
            f"{name} could not be read ({type(error).__name__}): it is kept and tried again, and nothing else waits "
            "for it; please report it"
        ) from error


_URL = re.compile(
    r"([a-z][a-z0-9+.-]*)://(?:[^/?#]*@)?((?:[\w.-]+|\[[0-9a-fA-F:.]+\])?(?::\d{1,5})?)((?:/[^?#]*)?)", re.ASCII
)


def shown(url: str) -> str:
    """A URL as an error or a page may show it: scheme, host, port and path; no user, password, query or fragment.

    Of what cannot be told apart for sure (a password with a slash in it, a text that is no URL) no more than the scheme
    is shown.
    """
    match = _URL.match(url)
    if match is None:
        return "a text that is no URL"
    scheme, host, path = match.groups()
    rest = url[match.end() :]
    if not url.startswith(f"{scheme}:///"):
        has_user = "@" in url[: match.end() - len(path)]
        # An @ behind the host may end a password that held a slash, a ? or a #.
        if "@" in path or ("@" in rest and not (has_user and rest.startswith(("?", "#")))):
            return f"{scheme}://…"
    if rest and not rest.startswith(("?", "#")):
        return f"{scheme}://…"
    return f"{scheme}://{host}{path}"
