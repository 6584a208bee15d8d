"""What a person reads of a partition in Dagster's UI: metadata, made of what the steps tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from log_assets.catalog import Partition
from log_assets.catalog.table import columns
from log_assets.errors import LogAssetsError
from log_assets.hour import Hour
from log_assets.lake import Entry, Lake
from log_assets.records import ids, row
from log_assets.steps.compact import Compacted
from log_assets.steps.due import Stale
from log_assets.steps.generations import read_lines
from log_assets.steps.publish import Published
from log_assets.steps.receipts import rejects_by_reason
from log_assets.steps.transform import Transformed

_PREVIEW_ROWS = 5

Metadata = dict[str, Any]


def table_schema() -> dg.TableSchema:
    """The table's columns, from its DDL."""
    found = [dg.TableColumn(column.name, column.hive_type, description=column.comment) for column in columns()]
    return dg.TableSchema([*found, dg.TableColumn("hour", "string", description="the partition, a UTC hour")])


def raw(
    hour: Hour, came: Transformed, source_url: str, rows: Sequence[Entry] = (), published: Partition | None = None
) -> Metadata:
    """What came of an hour, from the receipts of the windows that hold records of it.

    Args:
        hour, came, source_url: of which hour, what came, and from where.
        rows, published: what the hour holds, when nothing came of it now.
    """
    receipts = [receipt for receipt in came.receipts if hour in receipt.hours]
    rejects = rejects_by_reason(receipts)
    found: Metadata = {
        "windows": dg.MetadataValue.int(len(receipts)),
        # Windows reach over the hour's edges, so these count a little more than the hour's own.
        "records": dg.MetadataValue.int(sum(receipt.kept for receipt in receipts)),
        "rejected": dg.MetadataValue.int(sum(rejects.values())),
        "rejects_by_reason": dg.MetadataValue.json(rejects),
        "source": dg.MetadataValue.text(source_url),
    }
    return found if receipts else found | _held(rows, published)


def captured(stale: Stale) -> Metadata:
    """What the sensor tells of an hour that it asks for: what is new, and what is published of it until now."""
    return {
        "new_windows": dg.MetadataValue.int(len(stale.rows)),
        "new_bytes": dg.MetadataValue.int(sum(entry.size for entry in stale.rows)),
        "newest": dg.MetadataValue.timestamp(stale.newest),
        "records_published_before": dg.MetadataValue.int(stale.published.summary.records if stale.published else 0),
    }


def _held(rows: Sequence[Entry], published: Partition | None) -> Metadata:
    # Rows files of the last day; older ones that are published are tidied.
    if not rows and not published:
        return {}
    return {
        "records": dg.MetadataValue.int(published.summary.records if published else 0),
        "windows": dg.MetadataValue.int(len(rows)),
        "nothing_new": dg.MetadataValue.text("these were there already; `records` are those that are published"),
    }


def compacted(lake: Lake, done: Compacted) -> Metadata:
    generation, summary = done.generation, done.generation.summary
    ratio = summary.content_size / summary.size if summary.records else 0.0
    return {
        "dagster/row_count": dg.MetadataValue.int(summary.records),
        "bytes_in": dg.MetadataValue.int(summary.content_size),
        "bytes_out": dg.MetadataValue.int(summary.size),
        "ratio": dg.MetadataValue.float(round(ratio, 2)),
        "bytes_per_record": dg.MetadataValue.float(round(summary.size / max(summary.records, 1), 1)),
        "new_records": dg.MetadataValue.int(done.new_lines),
        "new_rows_files": dg.MetadataValue.int(done.new_rows),
        "record_ids": dg.MetadataValue.text(ids.write(summary.id_ranges[:20]) or "none"),
        "gap_ranges": dg.MetadataValue.text(ids.write(ids.gaps(summary.id_ranges)[:20]) or "none"),
        "object": dg.MetadataValue.path(f"{lake.url}/{generation.key}"),
        "preview": _preview(lake, done),
    }


def published(done: Published) -> Metadata:
    partition = done.partition
    return {
        "dagster/row_count": dg.MetadataValue.int(partition.summary.records),
        "moved": dg.MetadataValue.bool(done.moved),
        "generation": dg.MetadataValue.text(partition.digest),
        "location": dg.MetadataValue.path(partition.location),
        "published": dg.MetadataValue.timestamp(partition.published),
        "sql": dg.MetadataValue.md(
            f"```sql\nSELECT * FROM logs WHERE hour = '{partition.hour}' ORDER BY in_date LIMIT 100\n```"
        ),
    }


def _preview(lake: Lake, done: Compacted) -> Any:
    lines = done.sample
    if not lines and done.generation.summary.records:
        try:
            lines = tuple(read_lines(lake, done.generation.hour, done.generation.digest)[:_PREVIEW_ROWS])
        except LogAssetsError as error:
            return dg.MetadataValue.text(str(error))
    records = [
        dg.TableRecord(
            {name: str(record.get(name, ""))[:80] for name in ("inDate", "activity", "record_id", "user_id")}
        )
        for record in row.restore(lines)
    ]
    schema = dg.TableSchema([dg.TableColumn(name) for name in ("inDate", "activity", "record_id", "user_id")])
    return dg.MetadataValue.table(records, schema) if records else dg.MetadataValue.text("no records")
