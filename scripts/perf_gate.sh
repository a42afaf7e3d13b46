#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# perf_gate.sh [renew]: counts the instructions of the cells of perf/micro
# under callgrind and compares them with perf/gate.tsv, 2 % either way. A cell
# that got cheaper fails too, so that the file says what is true: `renew`
# writes it anew; commit it with the change that explains it.
#
# BUILD is the build folder. Counts hold for one compiler and C library; the
# head of the file names those it was made with. Optional instructions of the
# processor are masked, so that the C library takes the same road everywhere.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")/.." && pwd)
micro=${BUILD:-build}/release/perf/micro
file=$here/perf/gate.tsv
allowed=2
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-RTM

made_with()
{
    echo "# $(${CC:-gcc} --version | head -1);" \
        "$(ldd --version 2>/dev/null | head -1); $(uname -m)"
}

# Instructions of one cell: program, cell.
count()
{
    local work=$1-$2
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --collect-atstart=no --toggle-collect=micro_collect \
        "$micro/$1" --cell "$2" --gate 2>&1 >/dev/null |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p' | grep . ||
        { echo "perf-gate: $work: no count" >&2; return 1; }
}

# All cells that programs offer: program, cell, operations.
cells()
{
    local program
    for program in "$micro"/*; do
        "$program" --list 2>/dev/null || true
    done
}

renew()
{
    local program cell operations
    {
        echo "# program, cell, operations, instructions."
        echo "# Written by scripts/perf_gate.sh renew."
        made_with
        cells | while IFS=$'\t' read -r program cell operations; do
            printf '%s\t%s\t%s\t%s\n' "$program" "$cell" "$operations" \
                "$(count "$program" "$cell")"
        done
    } >"$file.new"
    mv "$file.new" "$file"
    cat "$file"
}

compare()
{
    local program cell operations wanted got bad=0
    if ! grep -qxF "$(made_with)" "$file"; then
        echo "perf-gate: other tools than the numbers were made with:" \
            "$(made_with)" >&2
    fi
    printf '%-16s %-20s %12s %12s %8s\n' program cell wanted counted change
    while IFS=$'\t' read -r program cell operations wanted; do
        got=$(count "$program" "$cell")
        awk -v p="$program" -v c="$cell" -v w="$wanted" -v g="$got" \
            -v o="$operations" -v a="$allowed" 'BEGIN {
            d = (g - w) * 100 / w; bad = d > a || d < -a
            printf "%-16s %-20s %12.1f %12.1f %+7.2f%%%s\n", p, c, w / o,
                g / o, d, bad ? "  <-- over " a "%" : ""
            exit bad }' || bad=1
    done < <(grep -v '^#' "$file")
    if [ $bad != 0 ]; then
        echo "perf-gate: instructions per operation changed; if that is" \
            "meant: BUILD=$BUILD scripts/perf_gate.sh renew" >&2
    fi
    return $bad
}

BUILD=${BUILD:-build}
case ${1:-compare} in
compare) compare ;;
renew) renew ;;
*) echo "usage: perf_gate.sh [renew]" >&2; exit 2 ;;
esac
