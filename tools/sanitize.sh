#!/bin/sh
# Runs the tests of the core under AddressSanitizer and UndefinedBehaviorSanitizer.
# usage: tools/sanitize.sh [pytest arguments]
set -e
[ $# -gt 0 ] || set -- tests/devices tests/kernels tests/engine
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=alignment,float-cast-overflow,vptr -g -O1"
export ASAN_OPTIONS=detect_leaks=0
PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)" \
  exec "$(dirname "$0")/test_variant.sh" sanitize "$flags" "$@"
