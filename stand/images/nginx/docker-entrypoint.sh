#!/bin/sh
# Run what is in /docker-entrypoint.d, then the command, as the official image does.
set -e
for script in /docker-entrypoint.d/*.sh; do
    [ -x "$script" ] || continue
    echo "$0: launching $script"
    "$script"
done
exec "$@"
