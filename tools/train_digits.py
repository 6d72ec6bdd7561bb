"""Trains the shipped example on scikit-learn's handwritten digits and writes reference_data/digits.

The network is small on purpose but holds what a real one does: convolution with batch normalization, depthwise and
pointwise convolution, a residual addition, max pooling, two concatenated branches, SiLU (a table on the chips), average
pooling, a fully connected layer and a softmax. Plain numpy with hand-written gradients; one seed, one thread.

    python tools/train_digits.py reference_data/digits
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import sklearn
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Array = np.ndarray[Any, Any]
SEED = 7
EPOCHS = 40
BATCH = 64
CALIBRATION_IMAGES = 100
TEST_IMAGES = 597

LAYERS = {  # name: (output channels, input channels per group, kernel)
    "stem_conv": (16, 1, 3),
    "block1_depthwise": (16, 1, 3),
    "block1_pointwise": (16, 16, 1),
    "branch_a_conv": (16, 16, 3),
    "branch_b_conv": (16, 16, 1),
    "head_conv": (48, 32, 3),
}
DEPTHWISE = {"block1_depthwise"}
CLASSES = 10


def patches(x: Array, k: int) -> Array:
    """Sliding k x k windows of x (N,C,H,W) with same padding: (N,C,H,W,k,k)."""
    p = k // 2
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    return np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))


def scatter(d: Array, k: int) -> Array:
    """Adjoint of `patches`."""
    n, c, h, w = d.shape[:4]
    p = k // 2
    out = np.zeros((n, c, h + 2 * p, w + 2 * p), d.dtype)
    for i in range(k):
        for j in range(k):
            out[:, :, i : i + h, j : j + w] += d[..., i, j]
    return out[:, :, p : p + h, p : p + w]


class Network:
    """Forward and backward passes; parameters, running statistics and Adam's moments by name."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.p: dict[str, Array] = {}
        self.running: dict[str, Array] = {}
        for name, (oc, ic, k) in LAYERS.items():
            self.p[f"{name}.w"] = rng.normal(0, np.sqrt(2 / (ic * k * k)), (oc, ic, k, k))
            self.p[f"{name}.gamma"], self.p[f"{name}.beta"] = np.ones(oc), np.zeros(oc)
            self.running[f"{name}.mean"], self.running[f"{name}.var"] = np.zeros(oc), np.ones(oc)
        self.p["classifier.w"] = rng.normal(0, 0.1, (48, CLASSES))
        self.p["classifier.b"] = np.zeros(CLASSES)
        self.moments = {k: (np.zeros_like(v), np.zeros_like(v)) for k, v in self.p.items()}
        self.steps = 0

    def conv_bn(self, name: str, x: Array, tape: dict[str, Any]) -> Array:
        w, k = self.p[f"{name}.w"], LAYERS[name][2]
        cols = patches(x, k)
        equation = "nchwij,cij->nchw" if name in DEPTHWISE else "nchwij,ocij->nohw"
        y = np.einsum(equation, cols, w[:, 0] if name in DEPTHWISE else w, optimize=True)
        mean, var = y.mean((0, 2, 3)), y.var((0, 2, 3))
        for key, value in (("mean", mean), ("var", var)):
            self.running[f"{name}.{key}"] += 0.1 * (value - self.running[f"{name}.{key}"])
        inverse = 1 / np.sqrt(var + 1e-5)
        normal = (y - mean[:, None, None]) * inverse[:, None, None]
        tape[name] = (cols, normal, inverse)
        return normal * self.p[f"{name}.gamma"][:, None, None] + self.p[f"{name}.beta"][:, None, None]

    def conv_bn_back(self, name: str, d: Array, tape: dict[str, Any], g: dict[str, Array]) -> Array:
        cols, normal, inverse = tape[name]
        w, k = self.p[f"{name}.w"], LAYERS[name][2]
        g[f"{name}.gamma"], g[f"{name}.beta"] = (d * normal).sum((0, 2, 3)), d.sum((0, 2, 3))
        d = d * self.p[f"{name}.gamma"][:, None, None]
        m = d.mean((0, 2, 3), keepdims=True)
        d = (d - m - normal * (d * normal).mean((0, 2, 3), keepdims=True)) * inverse[:, None, None]
        if name in DEPTHWISE:
            g[f"{name}.w"] = np.einsum("nchwij,nchw->cij", cols, d, optimize=True)[:, None]
            return scatter(np.einsum("nchw,cij->nchwij", d, w[:, 0], optimize=True), k)
        g[f"{name}.w"] = np.einsum("nchwij,nohw->ocij", cols, d, optimize=True)
        return scatter(np.einsum("nohw,ocij->nchwij", d, w, optimize=True), k)

    def step(self, x: Array, labels: Array, rate: float) -> float:
        """One Adam step on a batch; returns the loss."""
        t: dict[str, Any] = {}
        stem = np.maximum(self.conv_bn("stem_conv", x, t), 0)
        depthwise = np.maximum(self.conv_bn("block1_depthwise", stem, t), 0)
        block = self.conv_bn("block1_pointwise", depthwise, t)
        residual = np.maximum(stem + block, 0)
        n, c, h, w = residual.shape
        windows = residual.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, 4, 4, 4)
        choice = windows.argmax(-1)
        pooled = windows.max(-1)
        a = np.maximum(self.conv_bn("branch_a_conv", pooled, t), 0)
        b = np.maximum(self.conv_bn("branch_b_conv", pooled, t), 0)
        head = self.conv_bn("head_conv", np.concatenate([a, b], 1), t)
        gate = 1 / (1 + np.exp(-head))
        features = (head * gate).mean((2, 3))
        logits = features @ self.p["classifier.w"] + self.p["classifier.b"]
        logits -= logits.max(1, keepdims=True)
        probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        loss = -np.log(probability[np.arange(n), labels] + 1e-12).mean()

        g: dict[str, Array] = {}
        d = (probability - np.eye(CLASSES)[labels]) / n
        g["classifier.w"], g["classifier.b"] = features.T @ d, d.sum(0)
        d = (d @ self.p["classifier.w"].T)[:, :, None, None] / 16 * np.ones_like(head)
        d = d * (gate + head * gate * (1 - gate))
        d = self.conv_bn_back("head_conv", d, t, g)
        d_pooled = self.conv_bn_back("branch_a_conv", d[:, :16] * (a > 0), t, g)
        d_pooled = d_pooled + self.conv_bn_back("branch_b_conv", d[:, 16:] * (b > 0), t, g)
        d_windows = (np.arange(4) == choice[..., None]) * d_pooled[..., None]
        d = d_windows.reshape(n, c, 4, 4, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h, w) * (residual > 0)
        d_block = self.conv_bn_back("block1_pointwise", d, t, g)
        d = d + self.conv_bn_back("block1_depthwise", d_block * (depthwise > 0), t, g)
        self.conv_bn_back("stem_conv", d * (stem > 0), t, g)

        self.steps += 1
        for key, grad in g.items():
            m1, m2 = self.moments[key]
            if key.endswith(".w"):
                grad = grad + 1e-4 * self.p[key]
            m1 += 0.1 * (grad - m1)
            m2 += 0.001 * (grad**2 - m2)
            self.p[key] -= rate * (m1 / (1 - 0.9**self.steps)) / (np.sqrt(m2 / (1 - 0.999**self.steps)) + 1e-8)
        return float(loss)

    def to_onnx(self) -> onnx.ModelProto:
        """The trained network, batch normalization kept apart from the convolutions."""
        nodes: list[onnx.NodeProto] = []
        constants: list[onnx.TensorProto] = []

        def constant(name: str, value: Array) -> str:
            constants.append(numpy_helper.from_array(value.astype(np.float32), name))
            return name

        def add(op: str, name: str, inputs: list[str], **attrs: Any) -> str:
            nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name, **attrs))
            return f"{name}_out"

        def conv_bn(name: str, x: str) -> str:
            oc, _, k = LAYERS[name]
            y = add(
                "Conv",
                name,
                [x, constant(f"{name}.weight", self.p[f"{name}.w"])],
                kernel_shape=[k, k],
                pads=[k // 2] * 4,
                group=oc if name in DEPTHWISE else 1,
            )
            statistics = [
                constant(f"{name}.{key}", source[f"{name}.{key}"])
                for source, key in ((self.p, "gamma"), (self.p, "beta"), (self.running, "mean"), (self.running, "var"))
            ]
            return add("BatchNormalization", f"{name}_bn", [y, *statistics], epsilon=1e-5)

        stem = add("Relu", "stem_relu", [conv_bn("stem_conv", "image")])
        x = add("Relu", "block1_relu", [conv_bn("block1_depthwise", stem)])
        x = add("Add", "block1_add", [stem, conv_bn("block1_pointwise", x)])
        x = add("Relu", "block1_out_relu", [x])
        x = add("MaxPool", "pool", [x], kernel_shape=[2, 2], strides=[2, 2])
        a = add("Relu", "branch_a_relu", [conv_bn("branch_a_conv", x)])
        b = add("Relu", "branch_b_relu", [conv_bn("branch_b_conv", x)])
        x = conv_bn("head_conv", add("Concat", "branches", [a, b], axis=1))
        x = add("Mul", "head_silu", [x, add("Sigmoid", "head_sigmoid", [x])])
        x = add("Flatten", "flatten", [add("GlobalAveragePool", "average", [x])])
        w = constant("classifier.weight", self.p["classifier.w"])
        x = add("Gemm", "classifier", [x, w, constant("classifier.bias", self.p["classifier.b"])])
        nodes.append(helper.make_node("Softmax", [x], ["probability"], "softmax", axis=1))
        graph = helper.make_graph(
            nodes,
            "digits",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [1, CLASSES])],
            constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="train_digits")
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        return model


def augment(x: Array, rng: np.random.Generator) -> Array:
    """Shifts of up to one pixel, zeros coming in."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    shifts = rng.integers(0, 3, (len(x), 2))
    return np.stack([padded[i, :, dy : dy + 8, dx : dx + 8] for i, (dy, dx) in enumerate(shifts)])


def accuracy(model: onnx.ModelProto, images: Array, labels: Array) -> float:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    right = [session.run(None, {"image": x[None]})[0].argmax() == y for x, y in zip(images, labels, strict=True)]
    return float(np.mean(right))


def main(folder: Path) -> None:
    digits = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        images, digits.target, test_size=TEST_IMAGES, random_state=SEED, stratify=digits.target
    )
    rng = np.random.default_rng(SEED)
    network = Network(rng)
    for epoch in range(EPOCHS):
        order = rng.permutation(len(train_x))
        rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        losses = [
            network.step(augment(train_x[batch], rng).astype(np.float64), train_y[batch], rate)
            for batch in np.split(order, range(BATCH, len(order), BATCH))
        ]
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {np.mean(losses):.4f}")
    model = network.to_onnx()
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "digits.onnx")
    np.savez_compressed(folder / "calibration.npz", image=train_x[:CALIBRATION_IMAGES])
    np.savez_compressed(folder / "test.npz", image=test_x, label=test_y.astype(np.int64))
    top1 = accuracy(model, test_x, test_y)
    manifest = {
        "made_by": "tools/train_digits.py",
        "seed": SEED,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "float_top1": top1,
        "test_images": len(test_x),
        "data": "handwritten digits of scikit-learn (UCI optical recognition of handwritten digits, CC BY 4.0)",
        "sha256": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("digits.onnx", "calibration.npz", "test.npz")
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"float top-1 {top1:.4f} on {len(test_x)} images")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
