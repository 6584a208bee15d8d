"""The names of the assets, as Dagster and its UI know them."""

from dagster import AssetKey

RAW = AssetKey("raw_logs")
COMPACT = AssetKey("compact_logs")
TABLE = AssetKey("logs_table")
