"""If with a condition known at import becomes its branch; control flow on data is unsupported, in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from bittrue.errors import UnsupportedError
from tests.importers.models import imported, model_of

node = helper.make_node


def branch(nodes: list[NodeProto], output: str, name: str, **constants: np.ndarray) -> onnx.GraphProto:
    tensors = [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()]
    value = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_graph(nodes, name, [], [value], tensors)


def if_by_rank(rank: int) -> list[NodeProto]:
    """x * 2 + 1 where x has `rank` dimensions, else relu of the product outside; both write a tensor named `t`."""
    two, one = np.float32([2]), np.float32([1])
    then = branch(
        [node("Mul", ["r", "k"], ["t"], "scale"), node("Add", ["t", "o"], ["u"], "shift")], "u", "then", k=two, o=one
    )
    other = branch([node("Neg", ["r"], ["t"], "negate"), node("Relu", ["t"], ["u"], "relu")], "u", "else")
    return [
        node("Abs", ["x"], ["r"], "abs"),
        node("Shape", ["x"], ["shape"], "shape"),
        node("Size", ["shape"], ["rank"], "rank"),
        node("Equal", ["rank", "wanted"], ["same"], "same"),
        node("If", ["same"], ["v"], "choice", then_branch=then, else_branch=other),
        node("Sqrt", ["v"], ["y"], "root"),
    ]


@pytest.mark.parametrize(("wanted", "ops"), [(4, ["Abs", "Mul", "Add", "Sqrt"]), (3, ["Abs", "Neg", "Relu", "Sqrt"])])
@pytest.mark.parametrize("opset", [11, 17, 21])
def test_a_known_condition(wanted: int, ops: list[str], opset: int, tmp_path: Path) -> None:
    graph = imported(model_of(if_by_rank(0), {"wanted": np.int64(wanted)}, opset), tmp_path)
    assert [n.op for n in graph.nodes] == ops
    assert [n.outputs[0] for n in graph.nodes] == ["r", "t", "v", "y"]


def test_names_taken_outside_the_branch(tmp_path: Path) -> None:
    """Two branches with the same names, a branch that returns a tensor from outside, and one inside a branch."""
    inner = branch([node("Mul", ["t", "x"], ["z"], "inner_mul")], "z", "inner")
    choice = node("If", ["yes"], ["w"], "inner_if", then_branch=inner, else_branch=inner)
    outer = branch([node("Abs", ["x"], ["t"], "abs"), choice], "w", "outer")
    through = branch([node("Identity", ["x"], ["same"], "copy")], "same", "pass")
    nodes = [
        node("If", ["yes"], ["a"], "first", then_branch=outer, else_branch=outer),
        node("If", ["yes"], ["b"], "second", then_branch=outer, else_branch=outer),
        node(
            "If",
            ["no"],
            ["c"],
            "third",
            then_branch=outer,
            else_branch=through,
        ),
        node("Sum", ["a", "b", "c"], ["y"], "sum"),
    ]
    graph = imported(model_of(nodes, {"yes": np.bool_(True), "no": np.bool_(False)}, 17), tmp_path)
    assert [n.outputs[0] for n in graph.nodes] == ["t", "a", "second/t", "b", "y"]
    assert graph.nodes[-1].inputs == ["a", "b", "x"]


def test_old_ops_in_a_branch_are_brought_up(tmp_path: Path) -> None:
    then = branch([node("Squeeze", ["x"], ["s"], "squeeze", axes=[0])], "s", "then")
    other = branch([node("Identity", ["x"], ["s"], "copy")], "s", "else")
    nodes = [node("If", ["yes"], ["y"], "choice", then_branch=then, else_branch=other)]
    graph = imported(model_of(nodes, {"yes": np.bool_(True)}, 11), tmp_path)
    assert [(n.op, len(n.inputs)) for n in graph.nodes] == [("Squeeze", 2)]


def data_dependent() -> onnx.ModelProto:
    nodes = [
        node("ReduceSum", ["x"], ["s"], "total", keepdims=0),
        node("Greater", ["s", "zero"], ["positive"], "positive"),
        node(
            "If", ["positive"], ["v"], "data_choice",
            then_branch=branch([node("Abs", ["x"], ["t"], "abs")], "t", "then"),
            else_branch=branch([node("Neg", ["x"], ["u"], "neg")], "u", "else"),
        ),
        node("Relu", ["v"], ["y"], "relu"),
    ]  # fmt: skip
    return model_of(nodes, {"zero": np.float32(0)}, 17)


def loop() -> onnx.ModelProto:
    state = helper.make_tensor_value_info("in", TensorProto.FLOAT, None)
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    go = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    gone = helper.make_tensor_value_info("gone", TensorProto.BOOL, [])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    nodes = [node("Identity", ["go"], ["gone"], "keep"), node("Abs", ["in"], ["out"], "abs")]
    body = helper.make_graph(nodes, "body", [count, go, state], [gone, out])
    return model_of([node("Loop", ["n", "", "x"], ["y"], "rounds", body=body)], {"n": np.int64(3)}, 17)


@pytest.mark.parametrize(
    ("model", "name"), [(data_dependent(), r"'data_choice' \(If\)"), (loop(), r"'rounds' \(Loop\)")]
)
def test_control_flow_on_data(model: onnx.ModelProto, name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=rf"control flow.*node {name}"):
        imported(model, tmp_path)
    command = [sys.executable, "-m", "bittrue.cli.main", "import", str(tmp_path / "model.onnx")]
    command += ["-o", str(tmp_path / "float.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and done.stderr.strip().count("\n") == 0 and "model.onnx" in done.stderr
    assert not (tmp_path / "float.onnx").exists()


def test_functions_of_the_model_are_expanded(tmp_path: Path) -> None:
    model = model_of([node("Double", ["x"], ["y"], "double", domain="local")], {}, 17)
    model.opset_import.append(helper.make_opsetid("local", 1))
    body = [node("Add", ["a", "a"], ["b"], "add")]
    model.functions.append(helper.make_function("local", "Double", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    assert [n.op for n in imported(model, tmp_path).nodes] == ["Add"]
