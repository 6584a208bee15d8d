"""Ports that count what they are asked, by the operation's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any


class Counting:
    """Passes everything on to a lake or catalog, and counts the calls."""

    def __init__(self, inner: Any, calls: Counter[str]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name == "location":
            return found
        return self._counted(name, found)

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self._calls[name] += 1
            return call(*arguments, **options)

        return counted
