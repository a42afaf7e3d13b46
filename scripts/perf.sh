#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# perf.sh: floor and product, one after the other, several rounds, on a
# playground of this machine; then build/perf/report.md and report.svg from
# what they wrote. Ratios are taken within a round.
#
#   BUILD=dir       where the programs are (build)
#   DURATION=S      measured seconds of each row (2)
#   ROUNDS=N        rounds (3)
#   CELLS=pattern   rows of the product to run, an extended regular expression
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-build}
programs=$build/release/perf
out=$build/perf
duration=${DURATION:-2}
rounds=${ROUNDS:-3}

# name | row of perf-floor to hold it against | arguments of tikv-bench
cells='get-futures|C core stream, 10 KB as 128|raw get --mode futures --regions 10000
get-futures-3-stores|C core stream, 10 KB as 128|raw get --mode futures --regions 10000 --stores 3
get-queue|C core stream, 10 KB as 128|raw get --mode queue --regions 10000
put-futures|C core stream, 10 KB as 128|raw put --mode futures --regions 10000
get-64-threads|C core unary, 64 threads|raw get --threads 64 --regions 10000
get-64-threads-pinned|C core unary, 64 threads|raw get --threads 64 --regions 10000 --client-cpu 0 --server-cpu 1
get-1-thread|C core stream, 100 B x 1|raw get --regions 10000
batch-get-1000|C core stream, 10 KB as 128|raw batch-get --batch 1000 --regions 20
ycsb-a-futures|C core stream, 10 KB as 128|raw ycsb-a --mode futures --regions 10000
tso-1024-futures|C core stream, 10 KB as 128|tso --mode futures --outstanding 1024'
cells=$(grep -E "^(${CELLS:-.*})\|" <<<"$cells") ||
    { echo "perf: no row is called $CELLS" >&2; exit 2; }

rm -rf "$out"
mkdir -p "$out"
printf '%s\n' "$cells" >"$out/cells"
{
    echo "commit $(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo -)"
    echo "duration $duration"
    echo "rounds $rounds"
    echo "cpu $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)"
    echo "cores $(nproc)"
    echo "kernel $(uname -r)"
    echo "load $(cut -d" " -f1 /proc/loadavg)"
} >"$out/setup"

status=0
for round in $(seq "$rounds"); do
    echo "round $round of $rounds: floor" >&2
    "$programs/perf-floor" --duration "$duration" \
        --json "$out/floor-$round.json" >/dev/null
    while IFS='|' read -r name _ arguments; do
        echo "round $round of $rounds: $name" >&2
        # shellcheck disable=SC2086
        "$programs/tikv-bench" $arguments --duration "$duration" --quiet \
            --json "$out/$name-$round.json" --hdr "$out/$name-$round.hdr" \
            >/dev/null </dev/null || status=$?
    done <<<"$cells"
done
perl "$here/perf_report.pl" "$out"
[ $status = 0 ] || echo "perf: a run failed with status $status" >&2
exit $status
