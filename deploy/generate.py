"""Writes into `template.yaml` what athena_sql/ says: the table, the view, the saved queries (`make template`)."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from log_assets.catalog.glue_table import table_input
from log_assets.query import VIEW
from log_assets.query.sql import saved_queries, view_ddl

TEMPLATE = Path(__file__).parent / "template.yaml"

_BLOCK = re.compile(r"^( *)# generated: (\w+)\n.*?^ *# end of generated\n", re.MULTILINE | re.DOTALL)


class _Block(str):
    """Text that is written as it is, line by line."""


class _Tagged(str):
    """A call of CloudFormation's: the function's name, a space, its argument."""


class _Dumper(yaml.SafeDumper):
    # CloudFormation knows no aliases.
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, "|"))
_Dumper.add_representer(
    _Tagged, lambda dumper, text: dumper.represent_scalar("!" + text.split(" ", 1)[0], text.split(" ", 1)[1])
)


def generated(template: str) -> str:
    """`template` with every generated part made anew."""
    parts: dict[str, Mapping[str, Any]] = {"table": _table(), "queries": _queries()}

    def block(match: re.Match[str]) -> str:
        indent, name = match[1], match[2]
        body = yaml.dump(parts[name], Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
        return f"{indent}# generated: {name}\n{textwrap.indent(body, indent)}{indent}# end of generated\n"

    return _BLOCK.sub(block, template)


def _table() -> Mapping[str, Any]:
    return {"TableInput": _with_location(table_input(""), _Tagged("Sub s3://${Bucket}/${Prefix}/compact/"))}


def _with_location(table: Any, location: str) -> Mapping[str, Any]:
    return {**table, "StorageDescriptor": {**table["StorageDescriptor"], "Location": location}}


def _queries() -> Mapping[str, Any]:
    view = {"ViewDefinition": _query(f"create_view_{VIEW}", "Makes the view; log-assets init has done so", view_ddl())}
    saved = {_logical_id(name): _query(name, one.title, one.with_defaults()) for name, one in saved_queries().items()}
    return view | saved


def _logical_id(name: str) -> str:
    return "Query" + name.title().replace("_", "")


def _query(name: str, description: str, sql: str) -> Mapping[str, Any]:
    return {
        "Type": "AWS::Athena::NamedQuery",
        "Properties": {
            "Name": name,
            "Description": description,
            "Database": _Tagged("Ref GlueDatabase"),
            "WorkGroup": _Tagged("Ref WorkGroup"),
            "QueryString": _Block(sql),
        },
    }


if __name__ == "__main__":
    TEMPLATE.write_text(generated(TEMPLATE.read_text()))
