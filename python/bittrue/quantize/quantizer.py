"""Float graph + ranges + target -> quantized graph."""

from __future__ import annotations

from collections.abc import Mapping

from bittrue.errors import UnsupportedError, UsageError
from bittrue.graph.host_ops import HOST_DOMAIN
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.quantize.context import Context, FallbackError, QuantizeOptions
from bittrue.quantize.floating import FLOAT_OPS, lower_float
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.movement import MOVEMENT, resize
from bittrue.quantize.ranges import Threshold, import_ranges, propagate
from bittrue.targets.loader import Target, load_target

PRECISIONS = ("int8", "fp32")


def quantize(
    graph: Graph,
    thresholds: Mapping[str, Threshold] | None,
    target: str | Target,
    *,
    precision: str = "int8",
    options: QuantizeOptions | None = None,
) -> QuantizedModel:
    """Lowers every node of a float graph for a target.

    thresholds: rows of a calibration table by tensor name (int8 only). A node that cannot run in integers runs in the
    target's float rules. Raises UnsupportedError that lists all nodes without any rule, and for a precision the target
    does not have; DataError for missing thresholds and for NaN in constants; UsageError for a precision that no target
    has.
    """
    if isinstance(target, str):
        target = load_target(target)
    profile = target.profile
    options = options or QuantizeOptions()
    if not hasattr(target.lowering, "FLOAT"):
        raise UnsupportedError(f"target {profile.name} compiles no float models: {profile.description}")
    if precision not in profile.precisions:
        # what another target has is asked of the wrong chip, the rest is no precision
        error = UnsupportedError if precision in PRECISIONS else UsageError
        raise error(f"target {profile.name} has no precision '{precision}'; it has {', '.join(profile.precisions)}")
    integer = precision == "int8"
    ranges = import_ranges(graph, thresholds or {}) if integer else {}
    if integer:
        propagate(graph, ranges, profile.propagation, options.disabled_passes)
    ctx = Context(graph, target, ranges, options, Graph(graph.name))
    _inputs(ctx, integer)
    unknown = options.float_layers - {n.name for n in graph.nodes}
    if unknown:
        raise UsageError(f"no layer '{min(unknown)}' to keep in float")
    reasons: dict[str, str] = {}
    lost: set[str] = set()  # results of nodes that cannot run; what reads them is not to blame
    unsupported: list[str] = []
    for node in graph.nodes:
        if lost.intersection(node.inputs):
            if not _known(target, node):
                unsupported.append(f"{node.name} ({node.op}): no implementation")
            lost.update(node.outputs)
            continue
        if integer and node.name not in options.float_layers:
            rules = {**dict.fromkeys(MOVEMENT), "Resize": None, **target.lowering.INT8}
            if node.op in rules:
                rule = rules[node.op] or (resize if node.op == "Resize" else MOVEMENT[node.op])
                ctx.evidence = _evidence(target, node.op, "int8")
                try:
                    rule(ctx, node)
                    continue
                except FallbackError as e:
                    reasons[node.name] = str(e)
        ctx.evidence = _evidence(target, node.op, "float")
        try:
            lower_float(ctx, target.lowering.FLOAT, node)
        except FallbackError as e:
            unsupported.append(f"{node.name} ({node.op}): {e}")
            lost.update(node.outputs)
    if unsupported:
        raise UnsupportedError(
            f"target {profile.name} cannot run {len(unsupported)} node(s): " + "; ".join(unsupported)
        )
    for tensor in graph.outputs:
        if tensor in graph.constants:
            ctx.graph.outputs.append(_constant_output(ctx, tensor))
            continue
        quantized = options.quant_output and tensor in ctx.quantized
        ctx.evidence = _evidence(target, "Dequantize", "float")
        ctx.graph.outputs.append(ctx.quantized[tensor] if quantized else ctx.read_float(tensor))
    remove_unread(ctx)
    ctx.graph.check()
    arithmetic = {name: rule.value for name, rule in profile.rules.items()}
    meta = {"float_layers": {k: v for k, v in reasons.items()}}
    return QuantizedModel(ctx.graph, profile.name, precision, arithmetic, ctx.tensors, meta)


def _constant_output(ctx: Context, tensor: str) -> str:
    """A copy of a constant that the network returns, for instance the priors of a detector."""
    value = ctx.source.constants[tensor]
    constant = ctx.add_constant(f"{tensor}/value", value)
    output = ctx.graph.unique_name(tensor)
    return ctx.emit("Reshape", f"{tensor}/copy", [constant], output, value.dtype.name, attrs={}, like=tensor)


def _known(target: Target, node: Node) -> bool:
    """Whether any rule of the target names the op."""
    known = node.op in target.lowering.INT8 or node.op in MOVEMENT or node.op in FLOAT_OPS or node.op == "Resize"
    return known or node.domain == HOST_DOMAIN


def remove_unread(ctx: Context) -> None:
    """Drops nodes that nothing reads: conversions made for a rule that then fell back."""
    needed, kept = set(ctx.graph.outputs), []
    for node in reversed(ctx.graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    ctx.graph.nodes = kept[::-1]
    alive = needed | set(ctx.graph.inputs) | {o for n in kept for o in n.outputs}
    ctx.graph.constants = {n: a for n, a in ctx.graph.constants.items() if n in needed}
    ctx.graph.types = {n: t for n, t in ctx.graph.types.items() if n in alive}
    ctx.tensors = {n: t for n, t in ctx.tensors.items() if n in alive}


def _inputs(ctx: Context, integer: bool) -> None:
    for tensor in ctx.source.inputs:
        ctx.graph.inputs.append(tensor)
        if integer and ctx.options.quant_input and tensor in ctx.ranges:
            ctx.graph.types[tensor] = TensorType(ctx.dtype(tensor), ctx.shape(tensor))
            ctx.quantized[tensor] = tensor
            ctx.record(tensor, tensor)
        else:
            ctx.graph.types[tensor] = ctx.source.types[tensor]
            ctx.floats[tensor] = tensor


def _evidence(target: Target, op: str, precision: str) -> str:
    support = target.profile.ops.get(op, {}).get(precision)
    return support.evidence if support else "assumed"
