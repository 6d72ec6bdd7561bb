"""Transforms of a network before calibration, and its two forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.vendor.umodel.networks import SHAPE, make_case

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import DataError
from bittrue.vendor.sophgo.umodel import transforms
from bittrue.vendor.sophgo.umodel.forms import data_form, deploy_form
from bittrue.vendor.sophgo.umodel.network import Network

pytest.importorskip("lmdb")
SHAPES = {"data": (2, *SHAPE)}
X = np.random.default_rng(5).standard_normal((2, *SHAPE)).astype(np.float32)


def network(folder: Path, **options: object) -> Network:
    case = make_case(folder, **options)  # type: ignore[arg-type]
    return data_form(Network.read(case.prototxt, case.weights), SHAPES)


def results(net: Network, x: np.ndarray = X) -> dict[str, np.ndarray]:
    return FloatRunner(net.graph(SHAPES)).run({"data": x})


def types(net: Network) -> list[str]:
    return [layer.type for layer in net.proto.layer]


def assert_same(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    assert list(got) == list(want)
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5)


def test_every_result_has_a_blob_of_its_own(tmp_path: Path) -> None:
    net = network(tmp_path)
    tops = [top for layer in net.proto.layer for top in layer.top]
    assert len(tops) == len(set(tops))
    accuracies = [layer for layer in net.proto.layer if layer.type == "Accuracy"]
    assert [list(layer.bottom) for layer in accuracies] == [["score", "label"]] * 2
    deploy = deploy_form(net, SHAPES)
    assert types(deploy)[0] == "Input" and not {"Data", "Accuracy"} & set(types(deploy))
    assert_same(results(deploy), results(net))
    # a second round changes nothing
    assert data_form(net, SHAPES).proto == net.proto and deploy_form(deploy, {}).proto == deploy.proto


def test_written_files_are_the_network(tmp_path: Path) -> None:
    net = deploy_form(network(tmp_path), SHAPES)
    prototxt, umodel = tmp_path / "a.prototxt", tmp_path / "a.fp32umodel"
    prototxt.write_text(net.prototxt_text())
    umodel.write_bytes(net.float_umodel().SerializeToString())
    read = Network.read(prototxt, umodel)
    for name, value in results(read).items():
        np.testing.assert_array_equal(value, results(net)[name])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 999))
def test_merges_keep_the_results(tmp_path: Path, seed: int) -> None:
    net = network(tmp_path, seed=seed)
    want = results(net)
    transforms.merge_batch_norm(net)
    assert "BatchNorm" not in types(net)
    assert_same(results(net), want)
    transforms.merge_scale(net, depthwise_only=True)
    assert types(net).count("Scale") == 2 and "scale2" not in net.weights
    assert_same(results(net), want)
    transforms.merge_scale(net, excluded=["conv3"])
    assert [layer.name for layer in net.proto.layer if layer.type == "Scale"] == ["scale3"]
    transforms.merge_scale(net)
    transforms.drop_unneeded(net)
    assert not {"Scale", "Dropout"} & set(types(net))
    assert_same(results(net), want)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 999), st.booleans(), st.booleans())
def test_preprocessing_goes_into_the_first_convolutions(tmp_path: Path, seed: int, padded: bool, grey: bool) -> None:
    mean = "mean_value: 90" if grey else "mean_value: 100 mean_value: 110 mean_value: 120"
    net = network(tmp_path, seed=seed, pad=int(padded), transform=f"{mean} scale: 0.02")
    means = np.asarray([90] * 3 if grey else [100, 110, 120], np.float32).reshape(3, 1, 1)
    raw = np.random.default_rng(seed).integers(0, 256, X.shape).astype(np.float32)
    want = results(net, (raw - means) * np.float32(0.02))
    transforms.fold_preprocessing(net)
    data = next(layer for layer in net.proto.layer if layer.type == "Data")
    assert data.transform_param.scale == 1
    assert bool(data.transform_param.mean_value) == padded == bool(net.notes)
    assert_same(results(net, raw - means if padded else raw), want)


def test_padding_with_the_mean_folds_the_mean_too(tmp_path: Path) -> None:
    net = network(tmp_path, transform="mean_value: 90 scale: 0.5")
    transforms.fold_preprocessing(net, pad_value=90.0)
    data = next(layer for layer in net.proto.layer if layer.type == "Data")
    assert not data.transform_param.mean_value and not net.notes


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    broken = Network.read(case.prototxt, case.weights)
    broken.weights["conv3"][1][2] = np.nan
    case.weights.chmod(0o644)
    case.weights.write_bytes(broken.float_umodel().SerializeToString())
    with pytest.raises(DataError, match=r"net.caffemodel: layer 'conv3': blob 1 holds NaN"):
        Network.read(case.prototxt, case.weights)
