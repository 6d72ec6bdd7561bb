"""The syntaxes before `layer`: `layers` with an enumerated type (V1), and `layers { layer { .. } }` (V0)."""

from __future__ import annotations

from typing import Any

from bittrue.errors import DataError

V1_TYPES = {
    "ABSVAL": "AbsVal", "ACCURACY": "Accuracy", "ARGMAX": "ArgMax", "BNLL": "BNLL", "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss", "CONVOLUTION": "Convolution", "DATA": "Data",
    "DECONVOLUTION": "Deconvolution", "DROPOUT": "Dropout", "DUMMY_DATA": "DummyData", "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss", "EXP": "Exp", "FLATTEN": "Flatten", "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output", "HINGE_LOSS": "HingeLoss", "IM2COL": "Im2col", "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss", "INNER_PRODUCT": "InnerProduct", "LRN": "LRN", "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss", "MVN": "MVN", "POOLING": "Pooling", "POWER": "Power",
    "RELU": "ReLU", "SIGMOID": "Sigmoid", "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence", "SLICE": "Slice", "SOFTMAX": "Softmax", "SOFTMAX_LOSS": "SoftmaxWithLoss", "SPLIT": "Split",
    "TANH": "TanH", "THRESHOLD": "Threshold", "WINDOW_DATA": "WindowData",
}  # fmt: skip
V0_TYPES = {
    "accuracy": "Accuracy", "bnll": "BNLL", "concat": "Concat", "conv": "Convolution", "data": "Data",
    "dropout": "Dropout", "euclidean_loss": "EuclideanLoss", "flatten": "Flatten", "hdf5_data": "HDF5Data",
    "hdf5_output": "HDF5Output", "im2col": "Im2col", "images": "ImageData", "infogain_loss": "InfogainLoss",
    "innerproduct": "InnerProduct", "lrn": "LRN", "multinomial_logistic_loss": "MultinomialLogisticLoss",
    "pool": "Pooling", "relu": "ReLU", "sigmoid": "Sigmoid", "softmax": "Softmax", "softmax_loss": "SoftmaxWithLoss",
    "split": "Split", "tanh": "TanH", "window_data": "WindowData",
}  # fmt: skip
# V0 field -> field of the parameter message, by layer type.
V0_FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "Convolution": ("convolution_param", {
        "num_output": "num_output", "biasterm": "bias_term", "pad": "pad", "kernelsize": "kernel_size",
        "group": "group", "stride": "stride", "weight_filler": "weight_filler", "bias_filler": "bias_filler"}),
    "InnerProduct": ("inner_product_param", {
        "num_output": "num_output", "biasterm": "bias_term", "weight_filler": "weight_filler",
        "bias_filler": "bias_filler"}),
    "Pooling": ("pooling_param", {"pool": "pool", "kernelsize": "kernel_size", "stride": "stride", "pad": "pad"}),
    "LRN": ("lrn_param", {"local_size": "local_size", "alpha": "alpha", "beta": "beta", "k": "k"}),
    "Dropout": ("dropout_param", {"dropout_ratio": "dropout_ratio"}),
    "Concat": ("concat_param", {"concat_dim": "concat_dim"}),
    "Data": ("data_param", {"source": "source", "batchsize": "batch_size"}),
}  # fmt: skip

# data layers whose parameter messages once had the fields of transform_param
TRANSFORMED = {"Data": "data_param", "AnnotatedData": "data_param", "ImageData": "image_data_param"}


def _copy_field(source: Any, key: str, target: Any, to: str) -> None:
    if not source.HasField(key):
        return
    value = getattr(source, key)
    if hasattr(value, "CopyFrom"):
        getattr(target, to).CopyFrom(value)
    elif hasattr(getattr(target, to), "append"):
        getattr(target, to).append(value)
    else:
        setattr(target, to, value)


def _from_v0(old: Any, layer: Any, paddings: dict[str, int]) -> None:
    """The fields of a V0 layer. paddings: results of `padding` layers, which became the pad of the convolution."""
    v0 = old.layer
    if v0.type not in V0_TYPES:
        raise DataError(f"layer '{v0.name}': unknown type '{v0.type}' of the oldest syntax")
    layer.name, layer.type = v0.name, V0_TYPES[v0.type]
    if layer.type in V0_FIELDS:
        parameter, fields = V0_FIELDS[layer.type]
        for key, to in fields.items():
            _copy_field(v0, key, getattr(layer, parameter), to)
    padded = [paddings[b] for b in old.bottom if b in paddings]
    if padded:
        if layer.type != "Convolution":
            raise DataError(f"layer '{v0.name}': padding in front of a {layer.type}")
        layer.convolution_param.ClearField("pad")
        layer.convolution_param.pad.append(padded[0])


def _from_v1(old: Any, layer: Any) -> None:
    kind = old.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[old.type].name
    if kind not in V1_TYPES:
        raise DataError(f"layer '{old.name}' has no type")
    layer.name, layer.type = old.name, V1_TYPES[kind]
    for field, value in old.ListFields():
        if field.name.endswith("_param"):
            getattr(layer, field.name).CopyFrom(value)
    layer.include.extend(old.include)
    layer.exclude.extend(old.exclude)
    for name in old.param:
        layer.param.add(name=name)


def upgrade(net: Any) -> None:
    """Rewrites `layers` of a NetParameter as `layer`, and fields of data layers as `transform_param`, in place.

    Raises DataError for mixed syntaxes, unknown types.
    """
    if net.layers:
        _upgrade_layers(net)
    for layer in net.layer:
        if layer.type in TRANSFORMED:
            _move_transform(layer.transform_param, getattr(layer, TRANSFORMED[layer.type]))


def _move_transform(transform: Any, data: Any) -> None:
    """What once was said in the parameters of the data."""
    for key in ("scale", "mean_file", "crop_size", "mirror"):
        _copy_field(data, key, transform, key)
        data.ClearField(key)


def _upgrade_layers(net: Any) -> None:
    if net.layer:
        raise DataError("both `layers` and `layer`: one syntax is needed")
    sources: dict[str, str] = {}  # result of a padding layer -> its input
    paddings: dict[str, int] = {}
    for old in net.layers:
        if old.HasField("layer") and old.layer.type == "padding":
            sources[old.top[0]], paddings[old.top[0]] = old.bottom[0], old.layer.pad
            continue
        layer = net.layer.add()
        if old.HasField("layer"):
            _from_v0(old, layer, paddings)
        else:
            _from_v1(old, layer)
        layer.bottom.extend(sources.get(b, b) for b in old.bottom)
        layer.top.extend(old.top)
    net.ClearField("layers")
