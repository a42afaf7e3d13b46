#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The demo: real data through the whole client while the cluster moves under
# it. Called by `make demo` with BUILD in the environment; ends with status 0
# only if everything that came back is what was put in.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
data=/usr/share/unicode/UnicodeData.txt

if [ ! -r "$data" ]; then
    echo "demo: $data is missing: Debian's package unicode-data" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

examples=()
for source in examples/*.c; do
    examples+=("$build/examples/$(basename "$source" .c)")
done
if ! "$build/release/demo" "$build/release" "$data" "$work" \
    "${examples[@]}"; then
    cat "$work"/*.log >&2 2>/dev/null || true
    exit 1
fi
