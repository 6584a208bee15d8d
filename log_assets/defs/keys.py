"""The names of assets, jobs, the sensor and its tags, as Dagster and its UI know them."""

from dagster import AssetKey

RAW_LOGS = AssetKey("raw_logs")
COMPACT_LOGS = AssetKey("compact_logs")
LOGS_TABLE = AssetKey("logs_table")

SENSOR = "stale_hours"
HOURS_JOB = "publish_hours"
FETCH_JOB = "fetch_and_publish_hours"
CHECK_JOB = "check_hours"
TIDY_JOB = "tidy"

WORK_TAG = "log_assets/work"
BY_TAG = "log_assets/by"
WORKER_TAG = "log_assets/worker"
