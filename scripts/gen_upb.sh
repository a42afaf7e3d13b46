#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# gen_upb.sh UPB WORK OUT: builds protoc-gen-upb from the upb sources in UPB
# into WORK and writes the C of every upb_gen/proto/*.proto into OUT.
set -euo pipefail

upb=$1 work=$2 out=$3
proto=$(dirname "$0")/../upb_gen/proto
generator=$work/protoc-gen-upb

build_generator()
{
    local name objects=()
    mkdir -p "$work"
    for name in mini_table arena msg upb status table; do
        ${CC:-cc} -std=gnu99 -O2 -w -I"$upb" -c "$upb/upb/$name.c" \
            -o "$work/$name.o"
        objects+=("$work/$name.o")
    done
    for name in common protoc-gen-upb; do
        ${CXX:-c++} -std=c++17 -O1 -w -I"$upb" -c "$upb/upbc/$name.cc" \
            -o "$work/$name.o"
        objects+=("$work/$name.o")
    done
    # shellcheck disable=SC2046
    ${CXX:-c++} "${objects[@]}" -lprotoc -lprotobuf \
        $(pkg-config --libs absl_flat_hash_map absl_flat_hash_set \
            absl_strings) -lpthread -o "$generator.new"
    mv "$generator.new" "$generator"
}

[ -x "$generator" ] || build_generator
mkdir -p "$out"
protoc -I"$proto" --plugin=protoc-gen-upb="$generator" --upb_out="$out" \
    "$proto"/*.proto
