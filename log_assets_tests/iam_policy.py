"""Evaluates IAM policies as AWS documents it, as far as the template's policies go; the rest is an error.

Source: the IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements". A call is allowed when a statement
allows it and none denies it. Actions match without regard to case, resources to the letter; `*` and `?` are wildcards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One call: an action on a resource, and what is known of the request."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource} {dict(self.context) or ''}".strip()


def allowed(policies: Iterable[Policy], call: Call) -> bool:
    """Whether identity policies let their owner make the call."""
    effects = {effect for policy in policies for effect in _effects(policy, call)}
    return "Allow" in effects and "Deny" not in effects


def denied(policies: Iterable[Policy], call: Call) -> bool:
    """Whether a statement denies the call outright."""
    return "Deny" in {effect for policy in policies for effect in _effects(policy, call)}


def _effects(policy: Policy, call: Call) -> Iterable[str]:
    _only(policy, {"Version", "Statement"})
    for statement in policy["Statement"]:
        _only(statement, {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"})
        if statement["Effect"] not in ("Allow", "Deny"):
            raise ValueError(f"an effect {statement['Effect']!r} is unknown")
        if statement.get("Principal", "*") != "*":
            raise ValueError("a principal other than everyone is not understood here")
        if (
            any(_like(one.lower(), call.action.lower()) for one in _texts(statement["Action"]))
            and any(_like(one, call.resource) for one in _texts(statement["Resource"]))
            and _holds(statement.get("Condition", {}), call.context)
        ):
            yield statement["Effect"]


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Every operator and key must hold, for one of its values; a key that the request lacks holds for Null alone."""
    for operator, keys in conditions.items():
        test = _OPERATORS.get(operator)
        if test is None:
            raise ValueError(f"the condition {operator} is not understood here")
        for key, values in keys.items():
            if key not in _KEYS:
                raise ValueError(f"the condition key {key} is not understood here")
            if operator == "Null":
                if (key not in context) is not (values == "true"):
                    return False
            elif key not in context or not any(test(value, context[key]) for value in _texts(values)):
                return False
    return True


def _like(pattern: str, text: str) -> bool:
    if "${" in pattern:
        raise ValueError(f"the policy variable in {pattern} is not understood here")
    parts = [{"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern]
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    # Whether the key is absent, whatever its value would be.
    "Null": lambda wanted, found: False,
    "StringLike": _like,
    "StringEquals": lambda wanted, found: wanted == found,
    "Bool": lambda wanted, found: wanted.lower() == found.lower(),
}
_KEYS = {"s3:prefix", "s3:if-none-match", "aws:SecureTransport"}


def _texts(value: str | Sequence[str]) -> Sequence[str]:
    found = [value] if isinstance(value, str) else list(value)
    if not found or not all(isinstance(one, str) for one in found):
        raise ValueError(f"{value!r} is no text and no list of texts")
    return found


def _only(element: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(element) - known:
        raise ValueError(f"{sorted(unknown)} is not understood here")
