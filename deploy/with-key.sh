#!/bin/sh
# Runs a program with f_key from a file, so that the key stands in no unit, image or command line: systemd's credential,
# a container's secret, or F_KEY_FILE. Without such a file the environment stays as it is (ECS puts f_key there itself).
set -eu
file=${F_KEY_FILE:-${CREDENTIALS_DIRECTORY:-/run/secrets}/f_key}
if [ -r "$file" ]; then
  f_key=$(cat "$file")
  export f_key
fi
exec "$@"
