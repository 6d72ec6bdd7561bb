"""Explains layers of a stored result: opens again what was compared, simulates only the layers asked for."""

from __future__ import annotations

from pathlib import Path

from bittrue.report.result import Result, TensorResult
from bittrue.targets.override import Override
from bittrue.verify.explain.run import Explainer
from bittrue.verify.stored_stages import stored_stages, unknown_layer


def explain_result(
    result: Result, layer: str | None = None, seconds: float = 30.0, second: Path | None = None
) -> tuple[list[TensorResult], Override]:
    """(the layers explained, the rules proven on the way). `result` gets the causes.

    layer: name of a layer or tensor; None: every layer where an error was born. seconds: time for each layer. second:
    tensors of another sample from the same place as the reference, network inputs included; causes must hold there too.
    Raises UsageError for unknown layers, DataError if the files are no longer those of the result, UnsupportedError
    for command streams.
    """
    explained: list[TensorResult] = []
    rules = []
    for stored in stored_stages(result, layer):
        other = stored.replay_of(second) if second else None
        rules += Explainer(stored.replay, seconds, other).explain(stored.net.tensors, layer)
        explained += stored.find(layer) if layer else [t for t in stored.net.tensors if t.causes]
    if layer is not None and not explained:
        raise unknown_layer(result, layer)
    result.summarize()
    return explained, Override(target=str(result.target.get("name", "")), rules=rules)
