"""The family of errors a user may meet: each message says what was wrong, where, and what to do next."""


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


class CatalogError(LogAssetsError):
    """The catalog could not be read or written."""


class QueryError(LogAssetsError):
    """The query engine refused or failed a query."""
