#!/bin/sh
# The demo: 24 closed hours of the bundled source's history, one query, then everything live until Ctrl+C.
# Usage: demo.sh BIN FOLDER; PORT and UI (0: end after the query) come from the environment.
set -eu
bin=$1
cd "$2"

# The demo is the embedded default, whatever the shell has set for the real thing.
unset SOURCE_URL LAKE_URL CATALOG_URL QUERY_URL LOG_ASSETS_HOME DAGSTER_HOME START_HOUR REFRESH_MINUTES f_key
export LOG_ASSETS_HOME="$PWD/home" REFRESH_MINUTES=1

"$bin/log-assets" init
first=$("$bin/python" -c 'from datetime import *; print(f"{datetime.now(UTC) - timedelta(hours=24):%Y-%m-%d-%H}")')
last=$("$bin/python" -c 'from datetime import *; print(f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%d-%H}")')
"$bin/log-assets" backfill --from "$first" --to "$last"
"$bin/log-assets" query events_per_hour -p from_hour="$first" -p to_hour="$last"
[ "$UI" = 0 ] || exec "$bin/log-assets" up --port "$PORT"
