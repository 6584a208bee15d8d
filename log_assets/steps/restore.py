"""Restore: the original records of a published hour."""

from __future__ import annotations

from typing import Any

from log_assets.catalog import Catalog
from log_assets.errors import CatalogError
from log_assets.hour import Hour
from log_assets.lake import Lake
from log_assets.records import row
from log_assets.steps.generations import read_lines


def restore(lake: Lake, catalog: Catalog, hour: Hour) -> list[dict[str, Any]]:
    """The hour's records as they came, ordered by `record_id`; those without an integer one stand last.

    Raises:
        CatalogError: the hour is not published.
        Damaged, NotFound: its generation is not what the catalog promises.
    """
    partition = catalog.get([hour]).get(hour)
    if partition is None:
        raise CatalogError(
            f"hour {hour} is not published: materialize it (log-assets backfill --from {hour} --to {hour})"
        )
    records = row.restore(read_lines(lake, hour, partition.digest))
    return sorted(records, key=_order)


def _order(record: dict[str, Any]) -> tuple[bool, int]:
    number = record.get("record_id")
    if isinstance(number, int) and not isinstance(number, bool):
        return (False, number)
    return (True, 0)
