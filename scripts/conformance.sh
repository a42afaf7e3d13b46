#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# conformance.sh PROGRAM: the conformance cases alone, by every way; the last
# line is "N passed, 0 failed". `make check` runs the same program among all.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
TK_BUILD=$(cd "$BUILD" && pwd)
TK_VARIANT=$TK_BUILD/check
export TK_BUILD TK_VARIANT
exec perl "$root/tests/harness/run.pl" "$@"
