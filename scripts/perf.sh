#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# perf.sh: floor and product, one after the other, several rounds, on a
# playground of this machine; then build/perf/report.md and report.svg from
# what they wrote. Ratios are taken within a round. A row from which the host
# took processor time is measured again.
#
#   BUILD=dir       where the programs are (build)
#   DURATION=S      measured seconds of each row (2)
#   ROUNDS=N        rounds (3)
#   TRIES=N         times that a row is measured until it is clean (4)
#   CELLS=pattern   rows of the product to run, an extended regular expression
#   AWAKE=yes       loops of idle priority keep the processors from sleeping: in
#                   a virtual machine each wake-up of one is a trip to the host
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-build}
programs=$build/release/perf
out=$build/perf
duration=${DURATION:-2}
rounds=${ROUNDS:-3}
tries=${TRIES:-4}
# Ticks, a hundred a second and core: clean lost three in a hundred at most.
most=$((duration * $(nproc) * 3))

floors='TCP ping-pong, 100 B
TCP pipelined x16
TCP pipelined x128
C core stream, 100 B x 1
C core stream, 10 KB as 128
C core unary, 1 thread
C core unary, 16 threads
C core unary, 64 threads'

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
    echo "tries $tries"
    echo "awake ${AWAKE:-no}"
    echo "most $most"
    echo "load $(cut -d" " -f1 /proc/loadavg)"
} >"$out/setup"

if [ "${AWAKE:-no}" = yes ]; then
    loops=()
    trap 'kill "${loops[@]}" 2>/dev/null' EXIT
    for _ in $(seq "$(nproc)"); do
        chrt --idle 0 bash -c 'while :; do :; done' &
        loops+=($!)
    done
fi

# measure NAME COMMAND...: until a try is clean; the cleanest one is kept.
measure()
{
    local name=$1 stolen least='' try
    shift
    rm -f "$out/$name.json"
    for try in $(seq "$tries"); do
        rm -f "$out/try.json"
        "$@" --duration "$duration" --json "$out/try.json" \
            >/dev/null </dev/null || status=$?
        [ -s "$out/try.json" ] || continue
        stolen=$(sed -n 's/.*"steal_ticks":\([0-9]*\).*/\1/p' "$out/try.json")
        if [ -z "$least" ] || [ "${stolen:-0}" -lt "$least" ]; then
            least=${stolen:-0}
            mv "$out/try.json" "$out/$name.json"
            [ ! -e "$out/try.hdr" ] || mv "$out/try.hdr" "$out/$name.hdr"
        fi
        [ "$least" -gt "$most" ] || return 0
        echo "  $name: $stolen ticks were stolen, try $try of $tries" >&2
    done
}

status=0
for round in $(seq "$rounds"); do
    echo "round $round of $rounds: floor" >&2
    while IFS= read -r name; do
        measure floor "$programs/perf-floor" --only "$name"
        [ ! -e "$out/floor.json" ] ||
            cat "$out/floor.json" >>"$out/floor-$round.json"
    done <<<"$floors"
    while IFS='|' read -r name _ arguments; do
        echo "round $round of $rounds: $name" >&2
        # shellcheck disable=SC2086
        measure "$name-$round" "$programs/tikv-bench" $arguments --quiet \
            --hdr "$out/try.hdr"
    done <<<"$cells"
done
rm -f "$out"/try.* "$out/floor.json"
perl "$here/perf_report.pl" "$out"
[ $status = 0 ] || echo "perf: a run failed with status $status" >&2
exit $status
