"""Data layers: where records come from, the rule of batch_size, labels and boxes, networks that take any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bittrue import api
from bittrue.calibrate import thresholds
from bittrue.calibrate.collect import collect
from bittrue.calibrate.data import Preprocess, Record, Records
from bittrue.calibrate.methods import METHODS, Parameters
from bittrue.calibrate.table import CalibrationTable
from bittrue.cli.main import cli
from bittrue.containers.datum import Box, encode_datum
from bittrue.containers.lmdb_folder import LmdbWriter, write_lmdb
from bittrue.errors import DataError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.shaped import ShapedGraphs
from bittrue.importers.caffe.data_layer import read_data_layer
from bittrue.importers.caffe.schema import new_message

pytest.importorskip("lmdb")
Array = np.ndarray[Any, Any]
RELU = 'layer { name: "r" type: "ReLU" bottom: "data" top: "y" }'
FIXED = 'layer { name: "r" type: "InnerProduct" bottom: "data" top: "y" inner_product_param { num_output: 2 } }'


def data_net(folder: Path, layer: str, kind: str = "Data", rest: str = RELU) -> Path:
    path = folder / "net.prototxt"
    path.write_text(f'layer {{ name: "in" type: "{kind}" top: "data" top: "label" {layer} }}\n{rest}\n')
    return path


def samples(*shapes: tuple[int, ...], dtype: Any = np.float32) -> list[tuple[str, Array, int | None]]:
    rng = np.random.default_rng(1)
    return [(f"k{i}", rng.uniform(0, 200, s).astype(dtype), i) for i, s in enumerate(shapes)]


def calibrate(path: Path, *options: Any) -> tuple[CalibrationTable, str]:
    arguments = ["calibrate", path, "--random-weights", 0, "--method", "max", "-o", path.parent / "t.table", *options]
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return CalibrationTable.read(path.parent / "t.table"), result.output


def lmdb_layer(batch: int, more: str = "") -> str:
    return f'data_param {{ source: "d" batch_size: {batch} backend: LMDB }} {more}'


@pytest.mark.parametrize(
    ("caffe", "shape", "batch_size", "records", "warning"),
    [
        (False, (3, 4, 5), 0, 4, ""),
        (False, (2, 3, 4, 5), 0, 4, ""),
        (False, (3, 4, 5), 1, 4, "batch_size 1: records with a shape are whole batches"),
        (False, (2, 3, 4, 5), 2, 2, "batch_size 2: records with a shape are whole batches"),
        (True, (3, 4, 5), 2, 2, ""),
        (True, (3, 4, 5), 0, 4, "batch_size 0: Caffe's records are single samples"),
    ],
)
def test_batch_size(
    caffe: bool, shape: tuple[int, ...], batch_size: int, records: int, warning: str, tmp_path: Path
) -> None:
    made = samples(*[shape] * 4)
    write_lmdb(tmp_path / "d", made, caffe=caffe)
    table, output = calibrate(data_net(tmp_path, lmdb_layer(batch_size)))
    assert table.samples == records
    assert table.tensors["data"].threshold == max(a.max() for _, a, _ in made)
    assert (warning in output) if warning else "warning" not in output


def test_image_data(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(pixels).save(tmp_path / "pictures/a.png")
    (tmp_path / "list.txt").write_text("a.png 3\n")
    layer = (
        'image_data_param { source: "list.txt" root_folder: "pictures/" batch_size: 1 } transform_param { scale: 2 }'
    )
    path = data_net(tmp_path, layer, "ImageData")
    table, _ = calibrate(path)
    assert table.tensors["data"].threshold == 2.0 * float(pixels.max())
    ((key, sample),) = read_data_layer(path).source
    assert key == "a.png" and sample.label == 3
    np.testing.assert_array_equal(sample.array, pixels[:, :, ::-1].transpose(2, 0, 1))
    gray = layer.replace("batch_size", "is_color: false new_height: 3 new_width: 4 shuffle: true batch_size")
    found = read_data_layer(data_net(tmp_path, gray, "ImageData"))
    ((_, sample),) = found.source
    assert sample.array.shape == (1, 3, 4) and "shuffle is for training" in found.notes[0]
    with pytest.raises(DataError, match="'in': new_height and new_width are given together"):
        read_data_layer(data_net(tmp_path, gray.replace("new_width: 4", ""), "ImageData"))
    (tmp_path / "list.txt").write_text("nowhere.png 3\n")
    with pytest.raises(DataError, match=r"nowhere.png: cannot be read"):
        calibrate(data_net(tmp_path, layer, "ImageData"))


def test_boxes_of_annotated_records(tmp_path: Path) -> None:
    message = new_message("AnnotatedDatum")
    message.datum.ParseFromString(encode_datum(np.ones((3, 4, 4), np.uint8), caffe=True))
    message.type = 0
    group = message.annotation_group.add(group_label=7)
    box = group.annotation.add(instance_id=0).bbox
    box.xmin, box.ymin, box.xmax, box.ymax, box.difficult = 0.25, 0.5, 0.75, 1, True
    with LmdbWriter(tmp_path / "d") as writer:
        writer.put("a", message.SerializeToString())
    graph = Graph("g", inputs=["data"], types={"data": TensorType("float32", (1, 3, 4, 4))})
    (record,) = Records(graph, tmp_path / "d", Preprocess())
    assert record.boxes == ((Box(7, 0.25, 0.5, 0.75, 1.0, True),),) and record.labels is None
    table, _ = calibrate(data_net(tmp_path, lmdb_layer(1), "AnnotatedData"))
    assert table.tensors["data"].threshold == 1


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            lmdb_layer(1, "transform_param { scale: 2 transform_op { op: STAND } }"),
            "'in': transform_param: transform_op and scale exclude",
        ),
        (lmdb_layer(1).replace('"d"', '"nowhere"'), "layer 'in': no data at 'nowhere'"),
        (lmdb_layer(1, "transform_param { crop_size: 9 }"), "d: record '0000000000__k0': a crop of 9 x 9"),
    ],
)
def test_refused(layer: str, message: str, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "d", samples((3, 4, 5)), caffe=True)
    with pytest.raises(DataError, match=message) as e:
        calibrate(data_net(tmp_path, layer))
    assert e.value.exit_code == 4 and not (tmp_path / "t.table").exists()


def test_old_place_of_the_transform(tmp_path: Path) -> None:
    """Of networks before transform_param."""
    made = samples((3, 4, 6))
    write_lmdb(tmp_path / "d", made, caffe=True)
    layer = 'data_param { source: "d" batch_size: 1 scale: 0.5 crop_size: 4 mirror: true }'
    table, _ = calibrate(data_net(tmp_path, layer))
    assert table.tensors["data"].threshold == pytest.approx(made[0][1][:, :, 1:5].max() / 2)


def test_half_written_lmdb(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "d", samples(*[(3, 40, 50)] * 4))
    file = tmp_path / "d/data.mdb"
    file.write_bytes(file.read_bytes()[:30000])
    with pytest.raises(DataError, match="d: cut off"):
        calibrate(data_net(tmp_path, lmdb_layer(1)))
    assert not (tmp_path / "t.table").exists()


def test_records_of_any_size(tmp_path: Path) -> None:
    made = samples((3, 4, 5), (3, 9, 4), (3, 4, 5), dtype=np.uint8)
    write_lmdb(tmp_path / "d", made, caffe=True)
    table, output = calibrate(data_net(tmp_path, lmdb_layer(1)))
    assert table.samples == 3 and table.tensors["y"].threshold == max(a.max() for _, a, _ in made)
    assert "read again for records of other shapes: 1x3x9x4" in output
    with pytest.raises(DataError, match=r"record '0000000001__k1': shape \[1, 3, 9, 4\], .*'r' takes maps of one size"):
        calibrate(data_net(tmp_path, lmdb_layer(1), rest=FIXED))
    with pytest.raises(DataError, match="the samples before record '0000000001__k1' do not fill a batch of 2"):
        calibrate(data_net(tmp_path, lmdb_layer(2)))


def relu(shape: tuple[int, ...]) -> Graph:
    types = dict.fromkeys("xy", TensorType("float32", shape))
    return Graph("g", [Node("Relu", "r", ["x"], ["y"])], ["x"], ["y"], types=types)


@settings(max_examples=6, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=2, max_size=4),
    name=st.sampled_from(sorted(set(METHODS) - {"admm", "aciq", "aciq_laplace", "aciq_gauss", "mse", "mse_grid"})),
    variant=st.sampled_from(["tpumlir", "nvidia"]),
)
def test_every_element_counts_once(sizes: list[tuple[int, int]], name: str, variant: str) -> None:
    """Statistics pooled over shapes are those of the same elements in one record, for methods of pooled statistics. The
    growing histogram of `tpumlir` depends on the order of records by definition, so the largest comes first."""
    method = METHODS[name]
    if not method.has_variant(variant):
        return
    rng = np.random.default_rng(len(sizes))
    arrays = [rng.normal(0, 1, (1, 3, *size)).astype(np.float32) for size in sizes]
    arrays[0].flat[0] = 9
    pooled = np.concatenate([a.ravel() for a in arrays]).reshape(1, -1, 1, 1)
    tables = []
    for records in (arrays, [pooled]):
        graphs = ShapedGraphs(relu(records[0].shape), lambda shapes: relu(shapes["x"]))
        feed = [Record(str(i), {"x": a}) for i, a in enumerate(records)]
        tables.append(thresholds(collect(graphs, feed, [method], Parameters(variant=variant)), name).tensors)
    assert tables[0] == tables[1]


@pytest.mark.parametrize("name", ["admm", "aciq", "mse"])
def test_records_weigh_by_their_elements(name: str) -> None:
    """For methods that average over records: one of 12 elements counts as much as three of 4."""
    rng = np.random.default_rng(1)
    large, small = rng.normal(0, 1, (1, 3, 2, 2)), rng.normal(0, 5, (1, 1, 2, 2))
    method, parameters = METHODS[name], Parameters()
    graphs = ShapedGraphs(relu(large.shape), lambda shapes: relu(shapes["x"]))
    feed = [Record(str(i), {"x": a.astype(np.float32)}) for i, a in enumerate([large, small])]
    stats = collect(graphs, feed, [method], parameters).tensors["x"]
    a, b = stats.per_record[name]
    assert method.threshold(stats, parameters) == pytest.approx((3 * a + b) / 4)


@pytest.mark.parametrize("name", ["max", "percentile9999"])
def test_a_record_that_does_not_fit_is_named(name: str) -> None:
    feed = [Record(str(n), {"x": np.ones((1, 3, n, n), np.float32)}) for n in (2, 5)]
    with pytest.raises(DataError, match=r"record '5': shape \[1, 3, 5, 5\]"):
        collect(relu((1, 3, 2, 2)), feed, [METHODS[name]], Parameters())


def test_shapes_without_another_reading() -> None:
    graphs = ShapedGraphs(relu((1, 3, 2, 2)))
    assert graphs.at({"x": (1, 3, 2, 2)}) is graphs.graph
    with pytest.raises(DataError, match=r"shape \[1, 3, 4, 4\], 'x' needs \[1, 3, 2, 2\]"):
        graphs.at({"x": (1, 3, 4, 4)})
    with pytest.raises(DataError, match="input 'x' is missing"):
        graphs.at({})
    assert api.load_shaped.__doc__
