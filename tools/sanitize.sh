#!/bin/sh
# Builds the core with AddressSanitizer and UndefinedBehaviorSanitizer beside the normal build and runs the tests of the
# core with it. usage: tools/sanitize.sh [pytest arguments]
set -e
[ $# -gt 0 ] || set -- tests/devices tests/kernels tests/engine
root=$(cd "$(dirname "$0")/.." && pwd)
python="$root/.venv/bin/python"
build="$root/build/sanitize"
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=alignment,float-cast-overflow,vptr -g -O1"
"$root/.venv/bin/cmake" -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="$flags" \
  -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF \
  -DCMAKE_MAKE_PROGRAM="$root/.venv/bin/ninja" -DPython_EXECUTABLE="$python" \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" -DPYBIND11_FINDPYTHON=ON >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
"$root/.venv/bin/cmake" --build "$build"
# The sanitized module is found first: a copy of the package's Python files with it inside.
package="$build/package"
rm -rf "$package"
mkdir -p "$package"
cp -r "$root/python/bittrue" "$package/bittrue"
cp "$build"/_core*.so "$package/bittrue/"
cd "$root"
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)" \
  ASAN_OPTIONS=detect_leaks=0 PYTHONPATH="$package" "$python" -c "
import sys
sys.meta_path = [f for f in sys.meta_path if 'editable' not in type(f).__module__.lower() and 'Scikit' not in type(f).__name__]
import bittrue._core as core
assert core.__file__.startswith('$package'), core.__file__
import pytest
sys.exit(pytest.main(sys.argv[1:]))
" "$@"
