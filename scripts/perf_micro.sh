#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# perf_micro.sh: every micro benchmark, then timestamps (perf_tso.sh).
#
#   BUILD=dir   where the programs are (build)    DURATION=S   of a row (2)
set -euo pipefail
export LC_ALL=C

programs=${BUILD:-build}/release/perf

for program in "$programs"/micro/*; do
    "$program"
done

echo
"${0%/*}/perf_tso.sh"
