# shellcheck shell=bash
# Sourced: podman's storage for the images of tests.

# Use the storage in the folder $1, even if that was moved or copied: podman's database contains the path, and every command
# fails with exit status 125 elsewhere. Images stay; containers and volumes of an interrupted run do not.
use_storage() {
    [[ $(cat "$1/path" 2>/dev/null) != "$1" ]] || return 0
    rm -rf "$1"/storage/{libpod,overlay-containers,volumes} "$1/run"
    mkdir -p "$1"
    echo "$1" >"$1/path"
}
