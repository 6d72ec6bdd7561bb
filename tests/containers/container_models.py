"""Small models for the container tests."""

from __future__ import annotations

from bittrue.containers.bmodel import Bmodel
from bittrue.containers.build import IoTensor, build_bmodel
from bittrue.containers.payload import pack_payload

COEFFICIENTS = [("conv.filter", bytes(range(48))), ("conv.bias", b"\1\0\0\0" * 4)]


def small_model(batch: int = 1, *, name: str = "net", chip: str = "BM1684", flags: int = 0) -> Bmodel:
    """One compiled stage with int8 input x [batch,3,4,4] and float32 output y [batch,5]."""
    return build_bmodel(
        chip=chip,
        net_name=name,
        inputs=[IoTensor("x", "int8", (batch, 3, 4, 4), 0.5)],
        outputs=[IoTensor("y", "float32", (batch, 5))],
        coefficients=COEFFICIENTS,
        payload=pack_payload({"GRPH": b"graph" * (10 + batch), "META": b"{}"}, flags),
    )
