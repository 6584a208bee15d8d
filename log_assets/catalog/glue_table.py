"""The table and its partitions as Glue has them: made from the DDL in `athena_sql/tables` and from `Partition`, read
back, and what of a table in Glue differs from that DDL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from log_assets.catalog import Partition
from log_assets.catalog.table import PARTITION_KEY, TABLE, columns, partition_column, table_comment
from log_assets.hour import Hour
from log_assets.lake import layout
from log_assets.records.summary import Summary

if TYPE_CHECKING:
    from mypy_boto3_glue.type_defs import PartitionInputTypeDef, StorageDescriptorTypeDef, TableInputTypeDef

RANGES_KEPT = 1000
"""Id ranges in a partition's parameters, whose values Glue bounds; a manifest has the ranges beyond."""


class Foreign(ValueError):
    """A partition that this program did not make; its text says in a few words what was seen."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What of a table in Glue is not as its DDL says, in a few words.

    Attributes:
        what: the first thing that differs.
        is_older: whether the table is that of an older version of this program: it lacks the last columns, and what it
            has is as it should be.
    """

    what: str
    is_older: bool = False


def table_input(location: str) -> TableInputTypeDef:
    """The table over the folder at `location`, as Glue's API takes it."""
    key = partition_column()
    return {
        "Name": TABLE,
        "Description": table_comment(),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "json"},
        "PartitionKeys": [{"Name": key.name, "Type": key.hive_type, "Comment": key.comment}],
        "StorageDescriptor": storage_descriptor(location),
    }


def storage_descriptor(location: str) -> StorageDescriptorTypeDef:
    """How the objects at `location` are read: of the table and of each partition alike."""
    return {
        "Columns": [{"Name": c.name, "Type": c.hive_type, "Comment": c.comment} for c in columns()],
        "Location": location,
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "Compressed": True,
        "SerdeInfo": {"SerializationLibrary": "org.apache.hive.hcatalog.data.JsonSerDe"},
    }


def partition_input(partition: Partition) -> PartitionInputTypeDef:
    """A partition, as Glue's API takes it: what is known of the hour stands in its parameters."""
    summary = partition.summary.capped(RANGES_KEPT).to_json()
    return {
        "Values": [partition.hour],
        "StorageDescriptor": storage_descriptor(partition.location),
        "Parameters": {
            "digest": partition.digest,
            "published": partition.published.isoformat(),
            "summary": json.dumps(summary, separators=(",", ":")),
        },
    }


def partition_of(data: Mapping[str, Any]) -> Partition:
    """The partition that `data`, as Glue's API gives it, is. Raises `Foreign`."""
    name, parameters = data["Values"][0], data.get("Parameters", {})
    location = data["StorageDescriptor"]["Location"]
    try:
        partition = Partition(
            Hour(name),
            parameters["digest"],
            location,
            Summary.from_json(json.loads(parameters["summary"])),
            datetime.fromisoformat(parameters["published"]),
        )
    except (ValueError, KeyError, TypeError):
        raise Foreign("was not made by this program (a crawler, a hand)") from None
    if not layout.is_location_of(location, name, partition.digest):
        raise Foreign(f"was made to point at {location}")
    return partition


def difference(found: Mapping[str, Any], location: str) -> Difference | None:
    """What of the table `found` in Glue is not as its DDL says; None when all is."""
    present, wanted = found["StorageDescriptor"], table_input(location)["StorageDescriptor"]
    there = [(column["Name"], column.get("Type", "")) for column in present["Columns"]]
    due = [(column["Name"], column.get("Type", "")) for column in wanted["Columns"]]
    if there != due:
        odd = next((pair for pair in [*there, *due] if pair not in due or pair not in there), None)
        # New columns are appended, so an older version's are the first of this one's.
        is_older = bool(there) and there == due[: len(there)]
        return Difference(f"column {odd[0]} {odd[1]}" if odd else "order of columns", is_older)
    keys = [(key["Name"], key.get("Type", "")) for key in found.get("PartitionKeys", [])]
    if keys != [(PARTITION_KEY, "string")]:
        return Difference("partition key")
    if present.get("SerdeInfo", {}).get("SerializationLibrary") != wanted["SerdeInfo"]["SerializationLibrary"]:
        return Difference("SerDe")
    if present.get("InputFormat") != wanted["InputFormat"]:
        return Difference("input format")
    projected = found.get("Parameters", {}).get("projection.enabled", "false")
    return Difference("partition projection") if projected.lower() == "true" else None


def same_columns(descriptor: Mapping[str, Any]) -> bool:
    """Whether a partition's own description has the columns that the DDL has now."""
    there = [(column["Name"], column.get("Type", "")) for column in descriptor.get("Columns", [])]
    return there == [(column.name, column.hive_type) for column in columns()]
