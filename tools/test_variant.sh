#!/bin/sh
# Builds the core with other compiler flags beside the normal build and runs tests with it.
# usage: tools/test_variant.sh NAME FLAGS PYTEST-ARGUMENT..; PRELOAD is put into LD_PRELOAD for the tests
set -e
name=$1 flags=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
python="$root/.venv/bin/python"
build="$root/build/$name"
mkdir -p "$root/build"
"$root/.venv/bin/cmake" -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="$flags" \
  -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF \
  -DCMAKE_MAKE_PROGRAM="$root/.venv/bin/ninja" -DPython_EXECUTABLE="$python" \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" -DPYBIND11_FINDPYTHON=ON >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
"$root/.venv/bin/cmake" --build "$build"
# The variant is found first: a copy of the package's Python files with it inside.
package="$build/package"
rm -rf "$package"
mkdir -p "$package"
cp -r "$root/python/bittrue" "$package/bittrue"
cp "$build"/_core*.so "$package/bittrue/"
cd "$root"
LD_PRELOAD="$PRELOAD" PYTHONPATH="$package" "$python" -c "
import sys
sys.meta_path = [f for f in sys.meta_path if 'editable' not in type(f).__module__.lower() and 'Scikit' not in type(f).__name__]
import bittrue._core as core
assert core.__file__.startswith('$package'), core.__file__
import pytest
sys.exit(pytest.main(sys.argv[1:]))
" "$@"
