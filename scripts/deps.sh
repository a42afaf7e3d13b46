#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# deps.sh FOLDER [packages-list...]: what a build needs and the tree lacks.
#
# 1. Debian packages that are missing, installed by apt: directly as root, by
#    `sudo -n` otherwise. It never asks, and says nothing when all is there.
# 2. upb, from Debian's grpc source package, checked by its sha256 and unpacked
#    under FOLDER/upb. The machine's source lists are read, never changed: a
#    private deb-src list is derived from them under FOLDER/apt. UPB_DIR set in
#    the environment names an unpacked copy and skips this step.
#
# Lists: build (default), proto (the upb generator), clang (second compiler,
# fuzzing, tidy and format), valgrind, cover.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-build/deps}
shift || true
[ $# -gt 0 ] || set -- build

grpc_version=1.51.1-3
grpc_orig=grpc_1.51.1.orig.tar.gz
grpc_sha256=b55696fb249669744de3e71acc54a9382bea0dce7cd5ba379b356b12b82d4229

declare -A lists=(
    [build]="gcc g++ libc6-dev binutils make pkg-config perl ca-certificates
        libgrpc-dev liburcu-dev libjemalloc-dev libcmocka-dev libedit-dev
        libcjson-dev libcurl4-openssl-dev libxxhash-dev liblzma-dev
        protobuf-compiler openssl
        spin unicode-data"
    [proto]="protobuf-compiler libprotoc-dev libprotobuf-dev libabsl-dev"
    [clang]="clang clang-tidy clang-format"
    [valgrind]="valgrind"
    [cover]="gcovr"
)

die()
{
    echo "deps: $*" >&2
    exit 1
}

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

missing_packages()
{
    local package status
    for package in "$@"; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" \
            2>/dev/null) || status=absent
        [ "$status" = installed ] || echo "$package"
    done
}

# Other systems bring the same things under other names; the compiler says
# soon enough what they lack.
install_packages()
{
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        return 0
    local wanted="" list missing
    for list in "$@"; do
        [ -n "${lists[$list]:-}" ] || die "no list named $list"
        wanted="$wanted ${lists[$list]}"
    done
    # shellcheck disable=SC2086
    missing=$(missing_packages $wanted | tr '\n' ' ')
    [ -n "$missing" ] || return 0

    echo "deps: installing $missing"
    if [ "$(id -u)" != 0 ] && ! { command -v sudo >/dev/null &&
        sudo -n true 2>/dev/null; }; then
        die "not root and no sudo without a password; install by hand:
    apt-get install --no-install-recommends $missing"
    fi
    as_root apt-get -qq update || die "apt-get update failed"
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
        --no-install-recommends -o Dpkg::Use-Pty=0 $missing \
        >"$folder/apt-install.log" 2>&1 || {
        tail -20 "$folder/apt-install.log" >&2
        die "apt-get install failed"
    }
}

fetch_source()
{
    local apt=$folder/apt list etc parts codename
    command -v apt-get >/dev/null ||
        die "no apt-get here: unpack third_party/upb of grpc" \
            "${grpc_version%-*} and name it by UPB_DIR=/path"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/source"
    eval "$(apt-config shell etc Dir::Etc::sourcelist/f \
        parts Dir::Etc::sourceparts/d)"
    list=$apt/deb-src.list
    shopt -s nullglob
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    perl "$here/deb_src.pl" "$codename" "${etc:-}" "${parts:-/nowhere}"/*.list \
        "${parts:-/nowhere}"/*.sources >"$list"
    shopt -u nullglob
    [ -s "$list" ] || die "no Debian suite among the configured apt sources"

    local options=(-qq
        -o "Dir::Etc::sourcelist=$list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache"
        -o Acquire::Languages=none -o "APT::Sandbox::User=$(id -un)")
    # A suite that has no sources is no reason to stop: another may have them.
    apt-get "${options[@]}" update >"$apt/update.log" 2>&1 || true
    (
        cd "$apt/source"
        # A later revision of the package carries the same original tarball,
        # and the checksum decides in any case.
        apt-get "${options[@]}" source --download-only \
            "grpc=$grpc_version" >fetch.log 2>&1 ||
            apt-get "${options[@]}" source --download-only grpc \
                >>fetch.log 2>&1 || {
            cat "$apt/update.log" fetch.log >&2
            exit 1
        }
    ) || die "cannot fetch the source of grpc $grpc_version"
    [ -f "$apt/source/$grpc_orig" ] ||
        die "the source package holds no $grpc_orig"
}

# This upb keeps the bytes of a map entry that has unknown fields by a pointer
# that may lie in another buffer by then, and reads far out of bounds: a broken
# PD could end the process. Such an entry is now taken as it is, its unknown
# fields forgotten. tests/unit/wire/arena_test.c has the case.
mended_sha256=$grpc_sha256+map
mend_upb()
{
    local broken='  if (size != 0) {'
    [ "$(grep -cxF "$broken" "$1")" = 1 ] || die "upb is not the one expected"
    sed -i "s/^$broken\$/  if (size != 0 \&\& 0) {/" "$1"
}

unpack_upb()
{
    local upb=$folder/upb tarball=$folder/apt/source/$grpc_orig
    [ ! -f "$upb/.sha256" ] ||
        [ "$(cat "$upb/.sha256")" != "$mended_sha256" ] || return 0
    [ -f "$tarball" ] || fetch_source
    echo "$grpc_sha256  $tarball" | sha256sum --quiet --check - || {
        rm -f "$tarball"
        die "$grpc_orig is not the pinned one"
    }
    rm -rf "$upb" "$upb.new"
    mkdir -p "$upb.new"
    tar -xzf "$tarball" -C "$upb.new" --strip-components=3 \
        --wildcards '*/third_party/upb/*'
    mend_upb "$upb.new/upb/decode.c"
    echo "$mended_sha256" >"$upb.new/.sha256"
    mv "$upb.new" "$upb"
    rm -rf "$folder/apt/lists" "$folder/apt/cache"
    echo "deps: upb of grpc $grpc_version in $upb"
}

check_upb_dir()
{
    local file
    for file in upb/decode.c upb/mini_table.c third_party/utf8_range/naive.c
    do
        [ -f "$UPB_DIR/$file" ] || die "UPB_DIR=$UPB_DIR holds no $file"
    done
}

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
exec 9>"$folder/lock"
flock 9
install_packages "$@"
if [ -n "${UPB_DIR:-}" ]; then
    check_upb_dir
else
    unpack_upb
fi
for list in "$@"; do
    touch "$folder/stamp.$list"
done
