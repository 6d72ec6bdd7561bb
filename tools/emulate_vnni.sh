#!/bin/sh
# Runs the tests of the kernels with the avx512vnni path on any processor: its instructions are plain C++.
# usage: tools/emulate_vnni.sh [pytest arguments]
set -e
[ $# -gt 0 ] || set -- tests/kernels tests/engine
exec "$(dirname "$0")/test_variant.sh" emulate_vnni "-O2 -DBITTRUE_EMULATE_VNNI" "$@"
