#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# perf_micro.sh: every micro benchmark, then timestamps: 1, 64 and 1024 callers
# against a playground, blocking (a thread each) and as futures of one thread.
#
#   BUILD=dir   where the programs are (build)    DURATION=S   of a row (2)
set -euo pipefail
export LC_ALL=C

programs=${BUILD:-build}/release/perf
duration=${DURATION:-2}

for program in "$programs"/micro/*; do
    "$program"
done

echo
printf '%-10s %-9s %14s %16s %10s %10s\n' timestamps callers per-second \
    CPU-us/timestamp p50-us p99-us
for callers in 1 64 1024; do
    for mode in blocking futures; do
        many=--threads
        [ $mode = blocking ] || many=--outstanding
        "$programs/tikv-bench" tso --mode $mode $many $callers \
            --duration "$duration" --quiet --json - </dev/null |
            perl -MJSON::PP -ne '$r = decode_json($_);
                printf "%-10s %-9s %14.0f %16.2f %10.1f %10.1f\n", $r->{mode},
                    $r->{$r->{mode} eq "blocking" ? "threads" : "outstanding"},
                    @{$r}{qw(ops_per_s cpu_us_per_op p50_us p99_us)}'
    done
done
