"""Reads a CloudFormation template and works out its functions; one that it does not know is an error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from log_assets_tests.iam_policy import Call, allowed

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "log-assets",
}


class _Loader(yaml.SafeLoader):
    pass


def _function(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    if name not in ("Ref", "Sub", "GetAtt") or not isinstance(node, yaml.ScalarNode):
        raise ValueError(f"!{name} is not understood here")
    return {f"!{name}": loader.construct_scalar(node)}


_Loader.add_multi_constructor("!", _function)


class Template:
    """A template over a bucket and a secret that are there, with its parameters' defaults, or `given` ones."""

    def __init__(self, file: Path, bucket: str, **given: str) -> None:
        self.document: dict[str, Any] = yaml.load(file.read_text(), _Loader)
        self.parameters = {name: str(one["Default"]) for name, one in self.document["Parameters"].items()} | given
        secret = f"arn:aws:secretsmanager:eu-central-1:{PSEUDO['AWS::AccountId']}:secret:log-assets/f_key-AbCdEf"
        self._names = {
            **PSEUDO,
            **self.parameters,
            "Bucket": bucket,
            "Bucket.Arn": f"arn:aws:s3:::{bucket}",
            "Key": secret,
            "GlueDatabase": self.parameters["Database"],
            "WorkGroup": self.parameters["WorkGroupName"],
        }
        for role in self._of_type("AWS::IAM::Role"):
            self._names |= {role: role, f"{role}.Arn": f"arn:aws:iam::{PSEUDO['AWS::AccountId']}:role/{role}"}

    @property
    def secret(self) -> str:
        """The ARN of the secret that holds the key."""
        return self._names["Key"]

    @secret.setter
    def secret(self, arn: str) -> None:
        self._names["Key"] = arn

    def resource(self, name: str) -> dict[str, Any]:
        """The properties of a resource, worked out."""
        found: dict[str, Any] = self._worked_out(self.document["Resources"][name]["Properties"])
        return found

    def policies(self, role: str) -> dict[str, dict[str, Any]]:
        """The policy documents of a role: its own, and those that name it."""
        found = {one["PolicyName"]: one["PolicyDocument"] for one in self.resource(role)["Policies"]}
        for name in self._of_type("AWS::IAM::Policy"):
            attached = self.resource(name)
            if role in attached["Roles"]:
                found[attached["PolicyName"]] = attached["PolicyDocument"]
        return found

    def allowed_to(self, role: str, calls: Iterable[Call]) -> list[Call]:
        """Those of `calls` that a role's policies allow."""
        policies = list(self.policies(role).values())
        return [call for call in calls if allowed(policies, call)]

    def named_queries(self) -> dict[str, str]:
        """The SQL of every saved query, by its name in Athena."""
        found = [self.resource(name) for name in self._of_type("AWS::Athena::NamedQuery")]
        return {one["Name"]: one["QueryString"] for one in found}

    def outputs(self) -> dict[str, str]:
        return {name: self._worked_out(one["Value"]) for name, one in self.document["Outputs"].items()}

    def _of_type(self, kind: str) -> list[str]:
        return [name for name, one in self.document["Resources"].items() if one["Type"] == kind]

    def _worked_out(self, value: Any) -> Any:
        match value:
            case {"!Ref": name} | {"!GetAtt": name}:
                return self._names[name]
            case {"!Sub": text}:
                return re.sub(r"\$\{([^}]+)\}", lambda match: self._names[match[1]], text)
            case Mapping():
                return {key: self._worked_out(one) for key, one in value.items()}
            case list():
                return [self._worked_out(one) for one in value]
        return value
