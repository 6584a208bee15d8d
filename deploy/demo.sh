#!/bin/sh
# The demo: 24 closed hours of the bundled source's history, one query, then everything live until Ctrl+C.
# Usage: demo.sh BIN FOLDER; PORT and UI (0: end after the query) come from the environment.
set -eu
bin=$1
cd "$2"

# The demo is the embedded default, whatever the shell has set for the real thing.
unset LAKE_URL CATALOG_URL QUERY_URL DAGSTER_HOME START_HOUR f_key SOURCE_ALLOW_HTTP WORKERS
# `init` writes these to .env, so that whoever types a command in this folder finds what the demo made.
export SOURCE_URL=demo:// LOG_ASSETS_HOME=home REFRESH_MINUTES=1

hour() { "$bin/python" -c "from datetime import *; print(f'{datetime.now(UTC) - timedelta(hours=$1):%Y-%m-%d-%H}')"; }

"$bin/log-assets" init
if [ "$UI" != 0 ]; then
  "$bin/log-assets" up --port "$PORT" --check
  # Captures from now on, so that the hour in progress has no gap between its history and what `up` will capture.
  "$bin/log-assets" poll 2>poll.log &
  poll=$!
  trap 'kill "$poll" 2>/dev/null || true' EXIT
fi
first=$(hour 24)
last=$(hour 1)
"$bin/log-assets" backfill --from "$first" --to "$last"
"$bin/log-assets" query events_per_hour -p from_hour="$first" -p to_hour="$last"
hint() { "$bin/python" -c 'from log_assets.definitions import query_hint; print(query_hint())'; }
[ "$UI" != 0 ] || { echo 'Query it yourself:'; hint; exit 0; }

now=$(hour 0)
"$bin/log-assets" backfill --from "$now" --to "$now"
kill "$poll"
wait "$poll" || true
trap - EXIT
echo 'Query it yourself:'
hint
exec "$bin/log-assets" up --port "$PORT"
