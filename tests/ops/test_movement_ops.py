"""Data movement: the C++ core equals the numpy model, and Resize equals onnxruntime."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from bittrue.errors import DataError
from tests.ops.float_node import floats, run_node, seeds

fast = settings(max_examples=50, deadline=None)
dtypes = st.sampled_from(["int8", "uint8", "int16", "int32", "int64", "float32", "bool"])
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def values(seed: int, shape: Any, dtype: str) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return floats(rng, shape, "wild")
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.integers(-128, 127, shape).astype(dtype)


def reference(op: str, inputs: list[Any], opset: int = 18, **attrs: Any) -> Any:
    """The node by onnx.reference."""
    names = [f"i{k}" for k in range(len(inputs))]
    arrays = [np.asarray(v) for v in inputs]
    types = [helper.np_dtype_to_tensor_dtype(a.dtype) for a in arrays]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attrs)],
        "g",
        [helper.make_tensor_value_info(n, t, a.shape) for n, t, a in zip(names, types, arrays, strict=True)],
        [helper.make_tensor_value_info("y", types[0], None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))[0]


@fast
@given(shapes, dtypes, seeds, st.data())
def test_concat_and_split(shape: list[int], dtype: str, seed: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    parts = []
    for k, n in enumerate(lengths):
        shape[axis] = n
        parts.append(values(seed + k, shape, dtype))
    whole = np.concatenate(parts, axis)
    got = run_node("Concat", list(parts), [(dtype, whole.shape)], {"axis": axis})[0]
    assert got.tobytes() == whole.tobytes()
    split = run_node("Split", [whole], [(dtype, p.shape) for p in parts], {"axis": axis})
    assert [s.tobytes() for s in split] == [p.tobytes() for p in parts]


@fast
@given(st.sampled_from(["none", "shift", "multiplier_shift", "double_round", "float_scale"]), st.integers(1, 3), seeds)
def test_concat_requantizes(requant: str, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [values(seed + k, (2, 3, 4), "int8") for k in range(n)]
    attrs: dict[str, Any] = {
        "axis": 1,
        "input_requant": requant,
        "input_multiplier": rng.integers(1, 2**31 - 1, n).tolist(),
        "input_shift": rng.integers(0, 34, n).tolist(),
        "input_scale": [float(np.float32(s)) for s in rng.random(n) * 3],
        "input_rounding": str(rng.choice(["half_up", "half_away", "half_even"])),
        "input_zero_point": rng.integers(-9, 9, n).tolist(),
        "left_shift": int(rng.integers(0, 3)),
        "zero_point": int(rng.integers(-9, 9)),
        "clamp_min": -100,
    }
    run_node("Concat", list(parts), [("int8", (2, 3 * n, 4))], attrs)


@fast
@given(shapes, dtypes, seeds, st.sampled_from(["constant", "edge", "reflect"]), st.data())
def test_pad(shape: list[int], dtype: str, seed: int, mode: str, data: st.DataObject) -> None:
    x = values(seed, shape, dtype)
    low = 0 if mode == "reflect" else -1
    begins = [data.draw(st.integers(low, 4)) if n > 2 else data.draw(st.integers(0, 4)) for n in shape]
    ends = [data.draw(st.integers(low, 4)) if n > 2 else data.draw(st.integers(0, 4)) for n in shape]
    out = [b + n + e for b, n, e in zip(begins, shape, ends, strict=True)]
    attrs: dict[str, Any] = {"pads": begins + ends, "mode": mode}
    if mode == "constant" and dtype != "bool":
        attrs["value"] = 1.5 if dtype == "float32" else 7
    got = run_node("Pad", [x], [(dtype, out)], attrs)[0]
    if mode == "edge" and min(begins + ends) >= 0:
        assert got.tobytes() == reference("Pad", [x, np.array(begins + ends)], mode="edge").tobytes()


@fast
@given(shapes, dtypes, seeds)
def test_slice(shape: list[int], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = values(seed, shape, dtype)
    starts = [int(rng.integers(0, n)) for n in shape]
    steps = [int(rng.choice([-2, -1, 1, 2, 3])) for _ in shape]
    index = tuple(slice(a, None, s) for a, s in zip(starts, steps, strict=True))
    got = run_node("Slice", [x], [(dtype, x[index].shape)], {"starts": starts, "steps": steps})[0]
    assert got.tobytes() == np.ascontiguousarray(x[index]).tobytes()


def test_slice_outside_is_refused() -> None:
    with pytest.raises(DataError, match="leaves axis"):
        run_node("Slice", [np.zeros((4,), np.int8)], [("int8", (3,))], {"starts": [2]})


@fast
@given(shapes, dtypes, seeds)
def test_transpose_reshape_tile(shape: list[int], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = values(seed, shape, dtype)
    perm = rng.permutation(len(shape)).tolist()
    run_node("Transpose", [x], [(dtype, x.transpose(perm).shape)], {"perm": perm})
    run_node("Transpose", [x], [(dtype, x.T.shape)], {})
    run_node("Reshape", [x], [(dtype, (1, x.size))], {})
    repeats = rng.integers(1, 4, len(shape)).tolist()
    got = run_node("Tile", [x], [(dtype, [n * r for n, r in zip(shape, repeats, strict=True)])], {"repeats": repeats})
    assert got[0].tobytes() == reference("Tile", [x, np.array(repeats)]).tobytes()


@fast
@given(shapes, dtypes, seeds, st.sampled_from(["int32", "int64"]), st.data())
def test_gather(shape: list[int], dtype: str, seed: int, index_type: str, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    n = shape[axis]
    x = values(seed, shape, dtype)
    indices = np.random.default_rng(seed).integers(-n, n, data.draw(st.sampled_from([(), (3,), (2, 2)])))
    indices = np.asarray(indices, index_type)
    out = np.take(x, indices, axis).shape
    got = run_node("Gather", [x, indices], [(dtype, out)], {"axis": axis})[0]
    assert got.tobytes() == reference("Gather", [x, indices], axis=axis).tobytes()


def test_gather_outside_is_refused() -> None:
    with pytest.raises(DataError, match="outside the axis"):
        run_node("Gather", [np.zeros(3, np.int8), np.array([3])], [("int8", (1,))], {})


@fast
@given(dtypes, seeds, st.sampled_from([((3, 1), (2, 3, 4)), ((1,), (5,)), ((), (2, 2)), ((2, 1, 1), (2, 3, 1))]))
def test_expand_and_where(dtype: str, seed: int, case: tuple[Any, Any]) -> None:
    x = values(seed, case[0], dtype)
    run_node("Expand", [x], [(dtype, case[1])], {})
    condition = values(seed, case[1][-1:], "bool")
    other = values(seed + 1, case[1], dtype)
    run_node("Where", [condition, x, other], [(dtype, case[1])], {})


def onnxruntime_resize(x: Any, out: list[int], **attrs: Any) -> Any:
    scales = np.array([1, 1, out[0] / x.shape[2], out[1] / x.shape[3]], np.float32)
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], **attrs)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*x.shape[:2], *out])],
        [numpy_helper.from_array(scales, "scales")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]


COORDINATES = ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]


@pytest.mark.parametrize("out", [[8, 10], [12, 5], [3, 2], [2, 20], [4, 5], [1, 1]])
@pytest.mark.parametrize("coordinate", COORDINATES)
def test_resize_equals_onnxruntime(coordinate: str, out: list[int]) -> None:
    x = floats(np.random.default_rng(3), (2, 3, 4, 5), "normal")
    scales = [float(np.float32(out[0] / 4)), float(np.float32(out[1] / 5))]
    output = [("float32", (2, 3, *out))]
    common = {"coordinate": coordinate, "scales": scales}
    for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        got = run_node("Resize", [x], output, common | {"mode": "nearest", "nearest": nearest})[0]
        expected = onnxruntime_resize(
            x, out, mode="nearest", coordinate_transformation_mode=coordinate, nearest_mode=nearest
        )
        np.testing.assert_array_equal(got, expected, err_msg=nearest)
    got = run_node("Resize", [x], output, common | {"mode": "linear"})[0]
    expected = onnxruntime_resize(x, out, mode="linear", coordinate_transformation_mode=coordinate)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@fast
@given(dtypes, seeds, st.sampled_from(COORDINATES), st.integers(1, 9), st.integers(1, 9))
def test_resize(dtype: str, seed: int, coordinate: str, oh: int, ow: int) -> None:
    x = values(seed, (2, 3, 4), dtype)
    nearest = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"][seed % 4]
    run_node("Resize", [x], [(dtype, (2, oh, ow))], {"coordinate": coordinate, "nearest": nearest})
    if dtype == "float32":
        run_node("Resize", [x], [(dtype, (2, oh, ow))], {"coordinate": coordinate, "mode": "linear"})
