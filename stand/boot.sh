#!/bin/bash
# Boot Debian with systemd: boot.sh NAME TREE[:TREE…] FOLDER [OPTION OF SYSTEMD-NSPAWN…]. Changes go to FOLDER, from which it
# can be booted again.
# Needs root; `unshare --mount` starts it, so that its mounts end with it.
set -euo pipefail
name=$1 tree=$2 folder=$3
shift 3

# A unified hierarchy, and a group of its own: machines in the same one would kill each other's services.
umount --recursive /sys/fs/cgroup
mount --types cgroup2 none /sys/fs/cgroup
mkdir --parents "/sys/fs/cgroup/$name"
echo $$ >"/sys/fs/cgroup/$name/cgroup.procs"

mkdir --parents "$folder"/{changed,work,root}
mount --types overlay --options "lowerdir=$tree,upperdir=$folder/changed,workdir=$folder/work" overlay "$folder/root"
# The machine ends with the process that started it. CAP_NET_ADMIN: for units with PrivateNetwork=.
exec setpriv --pdeathsig TERM systemd-nspawn --quiet --directory "$folder/root" --boot --machine "$name" --register=no --keep-unit \
    --network-namespace-path=/proc/self/ns/net --capability=CAP_NET_ADMIN --console=pipe --link-journal=no \
    --resolv-conf=off --timezone=off "$@"
