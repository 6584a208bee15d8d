"""Retries: a call that failed for the moment is made again, after a wait that grows. The library is stamina.

Each retry is one line of this program's own log. Left to itself, stamina would print to stdout as soon as structlog is
installed, which Dagster brings along.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from log_assets.errors import LogAssetsError

if TYPE_CHECKING:
    from stamina import Attempt
    from stamina.instrumentation import RetryDetails

logger = logging.getLogger(__name__)


class Transient(LogAssetsError):
    """A fault that may be over at the next try."""


def retrying(
    *,
    attempts: int,
    first_wait: float,
    longest_wait: float = 5.0,
    jitter: float = 0.5,
    timeout: float | None = None,
    on: type[Exception] | Callable[[Exception], bool] = Transient,
) -> Iterable[Attempt]:
    """Attempts, each to be used as a context: an error that `on` names inside it makes way for the next attempt.

    Args:
        attempts: how many in all; the error of the last one is raised.
        first_wait, longest_wait, jitter: seconds before the second attempt, at most before any, and a random part.
        timeout: seconds for all of them.
        on: the errors that may be over at the next try.
    """
    import stamina
    from stamina.instrumentation import set_on_retry_hooks

    set_on_retry_hooks([_tell])
    return stamina.retry_context(
        on=on,
        attempts=attempts,
        timeout=timeout,
        wait_initial=first_wait,
        wait_max=longest_wait,
        wait_jitter=jitter,
    )


def _tell(details: RetryDetails) -> None:
    # Only errors of ours are known to hold no secret.
    error = details.caused_by
    said = str(error) if isinstance(error, LogAssetsError) else type(error).__name__
    logger.info("tried again in %.1f s: %s", details.wait_for, said)
