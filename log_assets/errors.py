"""The family of errors a user may meet: each message says what was wrong, where, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class LogAssetsError(Exception):
    """Base of every error that is meant for the user; its text is one helpful sentence."""


class SettingError(LogAssetsError):
    """A setting is missing or malformed; the text names its variable."""


class HourError(LogAssetsError, ValueError):
    """A text that should name an hour, and does not."""


class SourceError(LogAssetsError):
    """The source could not be read, or answered with something that is no window."""


class LakeError(LogAssetsError):
    """The lake could not be read or written."""


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
