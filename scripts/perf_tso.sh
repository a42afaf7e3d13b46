#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# perf_tso.sh [--json] [NAME=VALUE...]: timestamps against a playground, from 1,
# 64 and 1024 callers, blocking (a thread each) and as futures of one thread,
# and from 4096 futures. NAME=VALUE is a setting of the client.
#
# "per CPU second" is what one core would do if it did nothing else: the reverse
# of CPU per timestamp. Unlike timestamps a second it says something on a busy
# machine too. With --json each row is a line of tikv-bench.
#
#   BUILD=dir   where the programs are (build)    DURATION=S   of a row (2)
set -euo pipefail
export LC_ALL=C

bench=${BUILD:-build}/release/perf/tikv-bench
json=
settings=()
for word in "$@"; do
    case $word in
    --json) json=yes ;;
    *=*) settings+=(--set "$word") ;;
    *)
        sed -n 's/^# \{0,1\}//; 4,6p' "$0" >&2
        exit 2
        ;;
    esac
done

row() { # mode callers
    local many=--outstanding
    [ "$1" = futures ] || many=--threads
    "$bench" tso --mode "$1" $many "$2" --duration "${DURATION:-2}" --quiet \
        --json - ${settings[@]+"${settings[@]}"} </dev/null
}

table() {
    perl -MJSON::PP -ne '$r = decode_json($_);
        printf "%-10s %-9d %14.0f %16.2f %16.0f %12.1f %10.1f %10.1f\n",
            $r->{mode},
            $r->{$r->{mode} eq "blocking" ? "threads" : "outstanding"},
            $r->{ops_per_s}, $r->{cpu_us_per_op},
            $r->{cpu_us_per_op} ? 1e6 / $r->{cpu_us_per_op} : 0,
            $r->{rpcs_per_op} ? 1 / $r->{rpcs_per_op} : 0,
            @{$r}{qw(p50_us p99_us)}'
}

all() {
    local callers
    for callers in 1 64 1024; do
        row blocking $callers
        row futures $callers
    done
    row futures 4096
}

if [ -n "$json" ]; then
    all
else
    printf '%-10s %-9s %14s %16s %16s %12s %10s %10s\n' timestamps callers \
        per-second CPU-us/timestamp per-CPU-second per-message p50-us p99-us
    all | table
fi
