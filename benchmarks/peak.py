"""The measured peak of the machine: the most 8-bit products that its cores can add up in a second."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bittrue.errors import UsageError

SOURCE = Path(__file__).with_name("peak.cc")
BURST_SECONDS = 0.005


def measured_peak(threads: int, bursts: int = 20) -> dict[str, float]:
    """GMAC/s of all threads together by instruction sequence, the best of some short bursts.

    Raises UsageError if the microbenchmark cannot be compiled (environment variable CXX, or c++).
    """
    compiler = os.environ.get("CXX", "c++")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "peak.so"
        command = [*compiler.split(), "-std=c++17", "-O2", "-ftree-vectorize", "-shared", "-fPIC", str(SOURCE)]
        try:
            subprocess.run([*command, "-o", str(file)], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as e:
            why = e.stderr.splitlines()[0] if isinstance(e, subprocess.CalledProcessError) and e.stderr else str(e)
            raise UsageError(f"{SOURCE.name}: '{compiler}' does not compile it: {why}") from e
        library = ctypes.CDLL(str(file))
    library.peak_name.restype = ctypes.c_char_p
    library.peak_rate.restype, library.peak_rate.argtypes = ctypes.c_double, [ctypes.c_int, ctypes.c_double]
    result, i = {}, 0
    with ThreadPoolExecutor(threads) as pool:
        while name := library.peak_name(i):
            rates = [sum(pool.map(library.peak_rate, [i] * threads, [BURST_SECONDS] * threads)) for _ in range(bursts)]
            if max(rates) > 0:
                result[name.decode()] = max(rates) / 1e9
            i += 1
    return result
