"""What the tester prints on stderr after a failed comparison: are the coefficients still what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bittrue.vendor.sophgo.bmrt.log import Log
from bittrue.vendor.sophgo.bmrt.model import Net


def print_trace(nets: Sequence[Net], log: Log) -> None:
    """The coefficients of all networks by their stored hashes, each block once, then the stages."""
    log.trace("*** bmruntime trace: ***")
    log.trace("============ check coeff =============")
    errors, seen = 0, set()
    for ref in (ref for net in nets for ref in net.stages):
        coeff = ref.stage.coeff_mem
        if coeff is None or coeff.binary_coeff is None:
            continue
        stored = bytes(coeff.check_code or b"")
        if (coeff.address, stored) in seen:
            continue
        seen.add((coeff.address, stored))
        wrong = hashlib.sha256(coeff.binary_coeff.data or b"").digest() != stored
        errors += wrong
        log.trace(
            f"Coeff, chip[0], SHA[{stored[:4].ljust(4, bytes(1)).hex().upper()}], addr[0x{coeff.address:x}], "
            f"size[0x{coeff.binary_coeff.size:x}]{', Check:**FAILED**' if wrong else ''}"
        )
    for net in nets:
        for ref in net.stages:
            log.trace(f"============ check net[{net.name}] stage[{ref.stage_index}] =======")
            log.trace("================")
    log.trace(f"Total {errors} errors")
