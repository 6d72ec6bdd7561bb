"""Bit-true simulation and verification of quantized neural networks for edge NPUs.

The functions of `bittrue.api` are reachable from here; they load when they are first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bittrue.api import (
        Budget,
        CaffeOptions,
        MixedNetwork,
        Session,
        audit,
        calibrate,
        compare,
        compile,
        load,
        load_float,
        load_shaped,
        open_session,
        overflow,
        records,
        sensitivity,
        tune,
        verify,
    )

__all__ = [
    "Budget",
    "CaffeOptions",
    "MixedNetwork",
    "Session",
    "audit",
    "calibrate",
    "compare",
    "compile",
    "load",
    "load_float",
    "load_shaped",
    "open_session",
    "overflow",
    "records",
    "sensitivity",
    "tune",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from bittrue import api

        return getattr(api, name)
    raise AttributeError(f"module 'bittrue' has no attribute '{name}'")
