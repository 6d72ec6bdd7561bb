"""Archives of every kind: raw and text files, folders, layouts, dequantized floats, fingerprints, a model's help."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.verify.dumps import archive, compiled, inputs, model, run, tensors, write_map

from bittrue import api
from bittrue.cli.compare import compare_command
from bittrue.cli.verify import verify_command
from bittrue.containers.archive import FolderArchive, open_archive, typed
from bittrue.containers.text_dump import numbers, read_text_dump
from bittrue.errors import DataError
from bittrue.report.result import Result
from bittrue.verify.dump import to_grid
from bittrue.verify.fingerprints import FINGERPRINTS, fingerprint_member
from bittrue.verify.layouts import parse_layout
from bittrue.verify.names import Grid


def inner() -> str:
    """An int8 layer of four dimensions with several channels, not an output."""
    return next(n for n, a in tensors().items() if a.dtype == np.int8 and a.ndim == 4 and min(a.shape[1:]) > 1)


def verdicts(text_or_result: Result) -> dict[str, str]:
    return {t.name: t.verdict for n in text_or_result.nets for t in n.tensors}


def test_folders_with_sub_folders_and_raw_files(tmp_path: Path) -> None:
    x, y = np.arange(6, dtype=np.int16).reshape(2, 3), np.float32([[1.5, 2]])
    ref = archive(tmp_path / "ref.npz", {"net/x": x, "y": y})
    folder = archive(tmp_path / "got", {"net/x": x, "y": y})
    (folder / "notes.log").write_text("nothing")
    (folder / ".hidden.bin").write_bytes(b"1")
    code, text = run(compare_command, ref, folder)
    assert code == 0 and "1 files are no tensors: notes.log" in text
    (folder / "y.bin").write_bytes(y.tobytes() + b"\0")
    code, text = run(compare_command, ref, folder)
    assert code == 1 and "NOT_COMPARABLE" in text and "needs 8 bytes or 2 numbers, the file has 9 bytes" in text
    (folder / "y.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"'y' stands twice: y\.bin and y\.npy"):
        open_archive(folder)
    with pytest.raises(DataError, match="without tensors"):
        open_archive(_made(tmp_path / "empty"))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_raw_files_without_types_are_compared_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(b"\1\2\3\4")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/a.dat").write_bytes(b"\1\2\3\4")
    result = api.compare(tmp_path / "a.dat", tmp_path / "b/a.dat")
    (t,) = result.nets[0].tensors
    assert (t.verdict, t.dtype, t.shape) == ("EQUAL", "uint8", [4]) and "compared as bytes" in t.detail
    (tmp_path / "b/a.dat").write_bytes(b"\1\2\3\4\5")
    (t,) = api.compare(tmp_path / "a.dat", tmp_path / "b/a.dat").nets[0].tensors
    assert t.verdict == "NOT_COMPARABLE"
    (tmp_path / "a.dat").write_bytes(b"")
    (tmp_path / "b/a.dat").write_bytes(b"")
    assert run(compare_command, tmp_path / "a.dat", tmp_path / "b/a.dat")[0] == 4  # nothing was compared


def test_a_single_dat_file_is_taken_apart_by_io(tmp_path: Path) -> None:
    net = compiled()
    same = tmp_path / "output.dat"
    data = bytearray((net / "output_ref_data.dat").read_bytes())
    same.write_bytes(data)
    for io in (net, net / "io_info.dat", net / "compilation.bmodel"):
        result = api.compare(net / "output_ref_data.dat", same, io=io)
        assert list(verdicts(result)) == model().graph.outputs and result.summary.passed
    data[0] ^= 1
    same.write_bytes(data)
    assert api.compare(net / "output_ref_data.dat", same, io=net).summary.mismatches == 1
    same.write_bytes(data[:-1])
    code, text = run(compare_command, net / "output_ref_data.dat", same, "--io", net)
    assert code == 4 and f"{len(data) - 1} bytes" in text
    (tmp_path / "io.dat").write_text("input:\nx\n[ 1 2 ]\nfloat\n")
    code, text = run(compare_command, same, same, "--io", tmp_path / "io.dat")
    assert code == 4 and "line 3" in text
    (tmp_path / "io.dat").write_text("input:\nx\n[ 2 ]\n2\noutput:\ny\n[ 2 ]\n3\n")
    for name in ("a.dat", "input_a.dat", "output_a.dat"):
        (tmp_path / name).write_bytes(b"\xff\xfe")
    code, text = run(compare_command, tmp_path / "a.dat", tmp_path / "a.dat", "--io", tmp_path / "io.dat")
    assert code == 2 and "the same size" in text
    (t,) = api.compare(tmp_path / "input_a.dat", tmp_path / "input_a.dat", io=tmp_path / "io.dat").nets[0].tensors
    assert (t.name, t.dtype) == ("x", "int8")


def vendor_text(array: np.ndarray, ctype: str) -> str:
    """As the vendor's tester prints it (bmrt_test --debug_output)."""
    four = array.reshape(array.shape + (1,) * (4 - array.ndim))
    lines = [f"{ctype}, shape[N, C, H, W]=[{','.join(map(str, four.shape))}]"]
    for n, item in enumerate(four):
        for c, plane in enumerate(item):
            lines.append(f"N={n}, C={c}")
            lines += ["".join(f"{v:4g} " if v.dtype.kind == "f" else f"{v:4d} " for v in row) for row in plane]
            lines.append("")
        lines.append("")
    return "\n".join(lines) + "\n"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
    st.sampled_from([("signed_char", "int8"), ("unsigned char", "uint8"), ("short", "int16"), ("int", "int32")]),
    st.integers(0, 2**32 - 1),
)
def test_text_dumps_of_the_tester_are_read_back(shape: tuple[int, ...], kind: tuple[str, str], seed: int) -> None:
    ctype, dtype = kind
    info = np.iinfo(dtype)
    array = np.random.default_rng(seed).integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    data = np.frombuffer(vendor_text(array, ctype).encode(), "V1")
    read = typed(data, array.dtype, shape)
    assert read.shape == shape and read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)
    with pytest.raises(ValueError, match="the text dump is"):
        typed(data, np.dtype("float32"), shape)
    with pytest.raises(ValueError, match="the text dump is"):
        typed(data, array.dtype, (*shape, 2))


HEADERS = st.sampled_from(
    [b"", b"int, shape[N, C, H, W]=[1,1,1,2]\n", b"float, shape=[1,1,2,]\nN=0, C=0\n", b"int, shape=[]"]
)


@settings(max_examples=200, deadline=None)
@given(
    HEADERS,
    st.one_of(st.binary(max_size=40), st.text("0123456789-+.einfa_ \n", max_size=40).map(str.encode)),
    st.sampled_from(["int8", "int32", "float32", "float16"]),
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
)
def test_any_bytes_become_the_tensor_or_one_clear_error(
    head: bytes, body: bytes, dtype: str, shape: tuple[int, ...]
) -> None:
    data = np.frombuffer(head + body, "V1")
    try:
        array = typed(data, np.dtype(dtype), shape)
    except (ValueError, DataError) as e:
        assert str(e) and "\n" not in str(e)
    else:
        assert array.shape == shape and array.dtype == dtype


def test_text_dumps_in_a_folder_are_compared(tmp_path: Path) -> None:
    x, f = np.int8([[1, -2], [3, 4]]), np.float32([0.5, -2.25, 1e-3])
    ref = archive(tmp_path / "ref.npz", {"output_ref_0_signed_char": x, "f": f})
    got = _made(tmp_path / "got")
    (got / "output_ref_0_signed_char.txt").write_text(vendor_text(x, "signed_char"))
    (got / "f.dat").write_text("0.5\n-2.25\n0.001\n")  # one decimal number a line, as the tester's compare writes
    assert run(compare_command, ref, got)[0] == 0
    other = _made(tmp_path / "other")
    (other / "output_ref_0_signed_char.txt").write_text(vendor_text(x + 1, "signed_char"))
    result = api.compare(got / "output_ref_0_signed_char.txt", other / "output_ref_0_signed_char.txt")
    assert result.nets[0].tensors[0].n_bad == 4 and result.nets[0].tensors[0].shape == [2, 2, 1, 1]
    (other / "output_ref_0_signed_char.txt").write_text(vendor_text(x, "signed_char")[:-12])
    code, text = run(compare_command, ref, other)
    assert code == 4 and "has 4 values, the file" in text and "output_ref_0_signed_char" in text


def test_broken_text_dumps() -> None:
    assert read_text_dump(b"just words\n1 2 3") is None
    assert read_text_dump(b"") is None
    with pytest.raises(DataError, match="type 'double'"):
        read_text_dump(b"double, shape[N, C, H, W]=[1,1,1,1]\n1")
    with pytest.raises(DataError, match="last four dimensions only"):
        read_text_dump(b"int, shape=[2,1,1,1,2,]\nrank > 4, dump the last 4 dimension only.\nN=0, C=0\n1 2\n")
    five = read_text_dump(b"int, shape=[1,1,1,1,2,]\nrank > 4, dump the last 4 dimension only.\nN=0, C=0\n1 2\n")
    assert five is not None and five.tolist() == [[[[[1, 2]]]]]
    assert numbers(b"1 2 300", np.dtype("int8")) is None and numbers(b"1 \xff", np.dtype("int8")) is None
    assert numbers(b"1.5", np.dtype("int8")) is None and numbers(b"1_0", np.dtype("int8")) is None


def test_another_layout_is_brought_to_the_reference_and_its_padding_counted(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(-128, 128, (2, 3, 4, 5)).astype(np.int8)
    y = np.random.default_rng(1).normal(size=(1, 3, 2, 2)).astype(np.float32)
    ref = archive(tmp_path / "ref.npz", {"x": x, "y": y})
    packed = parse_layout("NHWC:C=16").pack(x, fill=1)
    got = archive(tmp_path / "got.npz", {"x": packed, "y": parse_layout("NC/4").pack(y)})
    mapped = write_map(tmp_path, layouts=[{"name": "*", "layout": "NHWC:C=16"}, {"name": "y", "layout": "NC/4"}])
    for side in (got, archive(tmp_path / "raw", {"x": packed, "y": parse_layout("NC/4").pack(y)})):
        result = api.compare(ref, side, dump=_options(map=mapped))
        a, b = result.nets[0].tensors
        assert (a.verdict, a.layout, a.padding_set) == ("EQUAL", "NHWC:C=16", 2 * 4 * 5 * 13)
        assert (b.verdict, b.layout, b.padding_set) == ("EQUAL", "NC/4", 0)
        assert "520 padding bytes are not zero" in a.detail
    # The reference may be the one in the other layout.
    assert run(compare_command, got, ref, "--map-ref", mapped)[0] == 0
    # Both sides in one unpadded layout need no shape from elsewhere; padded on both sides do.
    plain = archive(tmp_path / "plain.npz", {"x": parse_layout("NHWC").pack(x)})
    assert run(compare_command, plain, plain, "--layout", "NHWC", "--layout-ref", "NHWC")[0] == 0
    both = archive(tmp_path / "both.npz", {"x": packed})
    code, text = run(compare_command, both, both, "--layout", "NHWC:C=16", "--layout-ref", "NHWC:C=16")
    assert code == 1 and "give --model" in text


def _options(**given: object):  # type: ignore[no-untyped-def]
    from bittrue.verify.dump import DumpOptions

    return DumpOptions(**given)  # type: ignore[arg-type]


def test_a_wrong_layout_is_not_comparable_even_if_the_shape_would_fit(tmp_path: Path) -> None:
    x = np.zeros((1, 4, 4, 4), np.int8)
    ref = archive(tmp_path / "ref.npz", {"x": x})
    (t,) = api.compare(ref, ref, dump=_options(layout="4N")).nets[0].tensors
    assert t.verdict == "NOT_COMPARABLE" and "layout 4N of a tensor [1, 4, 4, 4] is [1, 4, 4, 4, 4]" in t.detail
    assert t.n == 0 and t.shape == [1, 4, 4, 4]


def test_shapes_that_differ_are_never_reshaped(tmp_path: Path) -> None:
    ref = archive(tmp_path / "ref.npz", {"x": np.zeros((1, 12))})
    for shape in ((12,), (1, 12, 1), (3, 4), (1, 11), (1, 1)):
        got = archive(tmp_path / "got.npz", {"x": np.zeros(shape)})
        code, text = run(compare_command, ref, got)
        assert code == 1 and "NOT_COMPARABLE" in text


def test_dequantized_floats_need_a_declared_scale(tmp_path: Path) -> None:
    q = np.int8([[-128, -1, 0, 5, 127]])
    scale = np.float32(0.0173)
    floats = (q.astype(np.float32) + 3) * scale
    ref, got = archive(tmp_path / "ref.npz", {"x": q}), archive(tmp_path / "got.npz", {"x": floats})
    code, text = run(compare_command, ref, got)
    assert code == 1 and "NOT_COMPARABLE" in text and "declare the scale" in text
    grid = {"x": {"scale": float(scale), "zero_point": -3}}
    mapped = write_map(tmp_path, scales=grid)
    (t,) = api.compare(ref, got, dump=_options(map=mapped)).nets[0].tensors
    assert (t.verdict, t.dtype) == ("EQUAL", "int8") and "grid of scale 0.0173" in t.detail
    assert run(compare_command, got, ref, "--map", mapped)[0] == 0  # whichever side the floats are on
    floats[0, 3] += scale
    (t,) = api.compare(ref, archive(tmp_path / "got.npz", {"x": floats}), dump=_options(map=mapped)).nets[0].tensors
    assert (t.verdict, t.n_bad, t.lsb_max) == ("OFF_BY_LSB", 1, 1)
    raw = archive(tmp_path / "raw", {"x": floats})
    assert api.compare(ref, raw, dump=_options(map=mapped)).nets[0].tensors[0].n_bad == 1
    floats[0, 3] += scale / 2
    (t,) = api.compare(ref, archive(tmp_path / "got.npz", {"x": floats}), dump=_options(map=mapped)).nets[0].tensors
    assert t.verdict == "NOT_COMPARABLE" and "1 of 5 floats are off the grid" in t.detail


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(-128, 127), st.lists(st.integers(-128, 127), min_size=1, max_size=20))
def test_the_grid_gives_the_integers_back(scale: float, zero_point: int, values: list[int]) -> None:
    q = np.array(values, np.int8)
    step = np.float32(scale)
    floats = (q.astype(np.float32) - zero_point) * step
    grid = Grid(scale=float(step), zero_point=zero_point)
    np.testing.assert_array_equal(to_grid(floats, grid, q.dtype), q)
    with pytest.raises(ValueError, match="off the grid"):
        to_grid(np.append(floats, np.float32(np.nan)), grid, q.dtype)
    with pytest.raises(ValueError, match="outside int8"):
        to_grid(np.append(floats, (200 - np.float32(zero_point)) * step), grid, q.dtype)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple), min_size=1, max_size=4),
    st.sampled_from(["NCHW", "NHWC", "4N", "2N", "NC/4", "NC/32", "NHWC:C=16", "NCHW:W=32b", "NHWC:C=bpu"]),
    st.sampled_from(["int8", "uint8", "int16", "float32"]),
    st.booleans(),
    st.data(),
)
def test_any_dump_equals_its_tensors_and_one_changed_element_is_found(
    shapes: list[tuple[int, ...]], text: str, dtype: str, raw: bool, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    layout = parse_layout(text)
    arrays = {f"t{k}": rng.integers(0, 100, shape).astype(dtype) for k, shape in enumerate(shapes)}
    with TemporaryDirectory() as work:
        folder = Path(work)
        ref = archive(folder / "ref.npz", arrays)
        mapped = write_map(folder, patterns=[{"from": "out_(.*)", "to": r"\1"}])

        def compared() -> Result:
            dump = {f"out_{n}": layout.pack(a, fill=9) for n, a in arrays.items()}
            got = archive(folder / ("got" if raw else "got.npz"), dump)
            return api.compare(ref, got, dump=_options(map=mapped, layout=text))

        good = compared()
        assert good.summary.passed and good.summary.equal == len(arrays)
        for t in good.nets[0].tensors:
            stored = layout.pack(arrays[t.name])
            # 9 is one byte that is not zero in integers; in binary32 it is 00 00 10 41: two.
            assert t.padding_set == (stored.size - arrays[t.name].size) * (2 if dtype == "float32" else 1)
        victim = data.draw(st.sampled_from(sorted(arrays)))
        arrays[victim].flat[data.draw(st.integers(0, arrays[victim].size - 1))] += 1
        bad = compared()
        assert [(t.name, t.n_bad) for t in bad.nets[0].tensors if not t.passed] == [(victim, 1)]


def test_dumps_of_other_inputs_are_refused(tmp_path: Path) -> None:
    x = {"x": np.ones((1, 2), np.float32)}
    y = {"y": np.zeros(3)}
    ref = archive(tmp_path / "ref.npz", {**y, FINGERPRINTS: fingerprint_member(x)})
    got = archive(tmp_path / "got.npz", {**y, FINGERPRINTS: fingerprint_member({"x": x["x"] * 2})})
    assert run(compare_command, ref, ref)[0] == 0
    code, text = run(compare_command, ref, got)
    assert code == 4 and "input 'x' differs" in text
    code, text = run(compare_command, ref, got, "--allow-other-inputs")
    assert code == 0 and "warning: input 'x' differs" in text
    # Layers of two context directories: their manifests know the inputs.
    pair = compiled() / "layers_ref.npz", compiled(sample=1) / "layers_ref.npz"
    assert run(compare_command, pair[0], pair[0])[0] == 0
    code, text = run(compare_command, *pair)
    assert code == 4 and "input 'input_ref_data.dat' differs" in text
    assert run(compare_command, *pair, "--allow-other-inputs")[0] == 1
    broken = archive(tmp_path / "broken.npz", {**y, FINGERPRINTS: np.array(["x"])})
    assert run(compare_command, ref, broken)[0] == 4


def test_verify_refuses_a_dump_of_other_inputs(tmp_path: Path) -> None:
    other = {n: a + np.float32(1) for n, a in inputs().items()}
    for arrays in ({FINGERPRINTS: fingerprint_member(other)}, other):
        dump = archive(tmp_path / "dump.npz", {**tensors(), **arrays})
        assert run(verify_command, "-d", compiled(), "--layer_ref", dump)[0] == 4
        code, text = run(verify_command, "-d", compiled(), "--layer_ref", dump, "--allow-other-inputs")
        assert code == 0 and "differs: SHA-256" in text
    same = archive(tmp_path / "dump.npz", {**tensors(), FINGERPRINTS: fingerprint_member(inputs())})
    assert run(verify_command, "-d", compiled(), "--layer_ref", same)[0] == 0


def test_verify_reads_a_device_dump_through_a_map(tmp_path: Path) -> None:
    """Raw files, the device's names, channels last and padded, one layer named by its node, one as floats."""
    graph, records = model().graph, model().tensors
    node = next(n for n in graph.nodes if n.outputs[0] == inner())
    layout = parse_layout("NHWC:C=16")
    dump = {f"dev/{k:02d}_{n}": layout.pack(a) for k, (n, a) in enumerate(tensors().items())}
    own = next(n for n in dump if n.endswith(f"_{inner()}"))
    dump[f"dev/{node.name}#x"] = dump.pop(own)
    floats = next(n for n in tensors() if n != inner() and n in records and tensors()[n].dtype == np.int8)
    q = records[floats]
    key = next(n for n in dump if n.endswith(f"_{floats}"))
    dump[key] = layout.pack((tensors()[floats].astype(np.float32) - q.zero_point) * np.float32(q.scale))
    folder = archive(tmp_path / "device", dump)
    patterns = [{"from": r"dev/\d\d_(.*)", "to": r"\1"}, {"from": "dev/(.*)#x", "to": r"\1"}]
    mapped = write_map(tmp_path, patterns=patterns, scales={floats: "model"})
    arguments = ("-d", compiled(), "--layer_ref", folder, "--map", mapped, "--layout", layout.text)
    code, text = run(verify_command, *arguments, "--json", tmp_path / "r.json")
    assert code == 0, text
    result = Result.load(tmp_path / "r.json")
    layers = [t for t in result.nets[0].tensors if t.role == "inner"]
    assert len(layers) == len(tensors()) and all(t.verdict == "EQUAL" and t.layout == layout.text for t in layers)
    if node.name != inner():
        assert f"layer names taken for the tensors of these layers: {node.name} -> {inner()}" in text
    # One wrong byte on the device is found in its layer, although files, names and layout are the device's.
    file = folder / "dev" / f"{node.name}#x.bin"
    data = bytearray(file.read_bytes())
    data[0] ^= 4
    file.write_bytes(data)
    code, text = run(verify_command, *arguments, "--json", tmp_path / "r.json", "--no-explain")
    assert code == 1
    wrong = next(t for t in Result.load(tmp_path / "r.json").nets[0].tensors if t.name == inner())
    assert (wrong.n_bad, wrong.origin) == (1, "BORN_HERE")


def test_verify_matches_by_values_only_when_asked(tmp_path: Path) -> None:
    dump = {f"t{k}": a for k, a in enumerate(tensors().values())}
    path = archive(tmp_path / "dump.npz", dump)
    assert run(verify_command, "-d", compiled(), "--layer_ref", path)[0] == 1
    code, text = run(verify_command, "-d", compiled(), "--layer_ref", path, "--match-by-values", "--no-explain")
    assert code in (0, 1) and "matched by values, not by name" in text
    # Tensors with the same values (a reshape, for instance) stay unmatched and are listed.
    ambiguous = text.count("not matched")
    assert text.count("MISSING") == ambiguous and (code == 0) == (ambiguous == 0)


def test_a_map_without_a_dump_is_a_usage_error(tmp_path: Path) -> None:
    assert run(verify_command, "-d", compiled(), "--layout", "NHWC")[0] == 2


def test_with_a_model_compare_names_the_layer_and_the_side_that_is_wrong(tmp_path: Path) -> None:
    good = archive(tmp_path / "good.npz", {**inputs(), **tensors()})
    changed = dict(tensors())
    changed[inner()] = changed[inner()].copy()
    changed[inner()] ^= 64
    # Later layers of the bad dump computed on with the wrong value.
    graph = model().graph
    bad = {**inputs(), **_continue(changed, inner())}
    path = archive(tmp_path / "bad.npz", bad)
    node = next(n for n in graph.nodes if n.outputs[0] == inner())
    for ref, got, side in ((good, path, "run"), (path, good, "reference")):
        result = api.compare(ref, got, model=compiled())
        t = next(t for t in result.nets[0].tensors if t.name == inner())
        assert (t.layer, t.op, t.origin) == (node.name, node.op, "BORN_HERE")
        assert f"does not agree with the {side}" in t.detail
        assert result.summary.first_divergent == t.title
        others = [x for x in result.nets[0].tensors if not x.passed and x is not t]
        assert others and {x.origin for x in others} == {"INHERITED"}
        order = [x.index for x in result.nets[0].tensors]
        assert order == sorted(order)
        roles = {x.name: x.role for x in result.nets[0].tensors if x.role != "inner"}
        assert roles == {n: "input" for n in graph.inputs} | {n: "output" for n in graph.outputs}


def _continue(values: dict[str, np.ndarray], after: str) -> dict[str, np.ndarray]:
    from bittrue.ops import evaluate_node

    graph = model().graph
    known = {**graph.constants, **inputs(), **values}
    started = False
    for node in graph.nodes:
        if started:
            types = [graph.types[o] for o in node.outputs]
            made = evaluate_node(node, [known[i] if i else None for i in node.inputs], types)
            known |= dict(zip(node.outputs, made, strict=True))
        started = started or after in node.outputs
    return {n: known[n] for n in values}


def test_traces_are_compared_as_they_are(tmp_path: Path) -> None:
    trace = {"trace.commands": np.array(["g0.bdc00001 bdc 1 after gdma 0 conv"]), "g0.bdc00001.res0": np.ones(3)}
    path = archive(tmp_path / "trace.npz", trace)
    assert run(compare_command, path, path)[0] == 0
    assert run(compare_command, path, path, "--layout", "NHWC")[0] == 2


def test_folder_archives_read_lazily(tmp_path: Path) -> None:
    folder = archive(tmp_path / "d", {"a": np.zeros(3, np.int8)})
    opened = FolderArchive(folder)
    (folder / "a.bin").write_bytes(b"12")
    assert opened["a"].size == 2 and len(opened) == 1 and "a" in opened and list(opened) == ["a"]
