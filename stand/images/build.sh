#!/usr/bin/env bash
# Build the images that tests/containers runs, into .cache/containers: stand-ins for the official images python and
# nginxinc/nginx-unprivileged, made of Debian 12 in .cache/machine-bookworm, and ours. Uses no registry and no network: pip
# installs the wheels of .cache/machine-wheels.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly CACHE="$PWD/.cache"
# Container engines of the machine see nothing of it.
readonly STORAGE=(--root "$CACHE/containers/storage" --runroot "$CACHE/containers/run" --storage-driver overlay)
export CONTAINERS_CONF="$PWD/stand/images/containers.conf"

# shellcheck source=stand/images/storage.sh
source stand/images/storage.sh
use_storage "$CACHE/containers"

# Import Debian once per version of this script, so that the layers above it stay cached. Without nginx: our images must
# not depend on one that happens to be there.
debian="localhost/debian:$(cat "$CACHE/machine-bookworm/packages" "${BASH_SOURCE[0]}" | cksum | cut -d ' ' -f 1)"
if ! podman "${STORAGE[@]}" image exists "$debian"; then
    tar -C "$CACHE/machine-bookworm" --exclude=./usr/share/{doc,man,locale,info} --exclude=./var/{cache,lib/apt} \
        --exclude=./usr/lib/systemd --exclude='./usr/lib/python3/dist-packages/*' --exclude=./usr/sbin/nginx \
        --exclude=./packages -c . |
        podman "${STORAGE[@]}" import --quiet - "$debian"
fi

# Build an image ($1) from a directory ($2); the rest are further options.
build() {
    local name="$1" context="$2"
    shift 2
    buildah "${STORAGE[@]}" bud --quiet --isolation chroot --format docker --layers "$@" --tag "localhost/$name" "$context"
}

build python stand/images/python --build-arg "BASE_IMAGE=$debian" --volume "$CACHE/machine-wheels/var/wheels:/var/wheels:ro"
build nginx-unprivileged stand/images/nginx --build-arg "BASE_IMAGE=$debian" --volume "$CACHE/machine-bookworm:/debian:ro"
for target in responder relay node issuer; do
    build "wellkeeper-$target" . --target "$target" --build-arg BASE_IMAGE=localhost/python \
        --volume "$CACHE/machine-wheels/var/wheels:/var/wheels:ro" \
        --volume "$CACHE/machine-wheels/etc/pip.conf:/etc/pip.conf:ro"
done

# For Docker, which has no access to podman's storage. Saved again only when an image has changed.
images=(localhost/nginx-unprivileged localhost/wellkeeper-{responder,relay,node,issuer})
podman "${STORAGE[@]}" image inspect --format '{{.Id}}' "${images[@]}" >"$CACHE/containers/images.new"
if ! cmp --silent "$CACHE/containers/images.new" "$CACHE/containers/images"; then
    rm -f "$CACHE/containers/images.tar"
    podman "${STORAGE[@]}" save --quiet --multi-image-archive --format docker-archive --output "$CACHE/containers/images.tar" \
        "${images[@]}"
    mv "$CACHE/containers/images.new" "$CACHE/containers/images"
fi
