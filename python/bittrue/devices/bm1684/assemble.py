"""Commands for our own int8 layers, so that a network compiled here runs as a graph and as a command stream.

Convolution, depthwise convolution, pooling and fully connected layers of a quantized BM1684 graph. Every layer is
loaded from device memory, computed, and stored again; one that does not fit the local memory is refused, not tiled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bittrue.devices.bm1684.commands import encode
from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph, Node

Array = np.ndarray[Any, Any]
LANES, LANE_BYTES, LOCAL = 64, 512 * 1024, 0x08000000
COEFFICIENTS, PAGE = 0x105100000, 4096
INT8, INT16 = 0, 3
FORMAT_WORDS, FORMAT_INT16, FORMAT_INT8 = 0, 1, 3
S2L, L2S = 0, 1
CONV, WINDOW, MATMUL = 0, 1, 2
MAC, MAX = 1, 4
SECTION = 128  # columns of a matrix in a lane


def _up(value: int, to: int) -> int:
    return -(-value // to) * to


@dataclass
class Assembled:
    """bdc, gdma: uint32 [n, 32]. coefficients: bytes from `COEFFICIENTS` on. tensors: name -> device address, for all
    tensors between layers in 4N layout. end: first free device address."""

    bdc: Array
    gdma: Array
    coefficients: bytes
    tensors: dict[str, int]
    end: int


@dataclass
class _Emitter:
    graph: Graph
    bdc: list[dict[str, int]] = field(default_factory=list)
    gdma: list[dict[str, int]] = field(default_factory=list)
    coefficients: bytearray = field(default_factory=bytearray)
    tensors: dict[str, int] = field(default_factory=dict)
    free: int = 0  # in a lane

    # ---- places

    def local(self, node: Node, bytes_per_lane: int) -> int:
        """A place at the same offset of every lane, aligned to 128 bytes."""
        start, self.free = self.free, _up(self.free + bytes_per_lane, 128)
        if self.free > LANE_BYTES:
            raise UnsupportedError(f"layer '{node.name}': does not fit the local memory")
        return LOCAL + start

    def constant(self, data: Array) -> int:
        """Device address of coefficient bytes."""
        self.coefficients.extend(bytes(-len(self.coefficients) % 16))
        address = COEFFICIENTS + len(self.coefficients)
        self.coefficients.extend(np.ascontiguousarray(data).tobytes())
        return address

    def shape(self, name: str) -> tuple[int, int, int, int]:
        dims = tuple(self.graph.types[name].shape)
        n, c, h, w = dims if len(dims) == 4 else (dims[0], int(np.prod(dims[1:])), 1, 1)
        return n, c, h, w

    def signed(self, name: str) -> int:
        return int(self.graph.types[name].dtype.startswith("int"))

    # ---- commands; each waits for everything before it

    def move(self, direction: int, device: int, local: int, form: int, size: tuple[int, ...], **more: int) -> None:
        n, c, h, w = size
        sides = ("src", "dst") if direction == S2L else ("dst", "src")
        command = {
            "pio_gdma_enable": 1, "barrier_enable": 1, "prefetch_disable": 1, "lrn_shift_num": 1,
            "localmem_mask_l32": 2**32 - 1, "localmem_mask_h32": 2**32 - 1,
            "cmd_id": len(self.gdma) + 1, "eng0_sync_id": len(self.bdc), "direction": direction,
            "src_data_format": form, "dst_data_format": form,
            f"{sides[0]}_start_addr_l32": device & 0xFFFFFFFF, f"{sides[0]}_start_addr_h8": device >> 32,
            f"{sides[1]}_start_addr_l32": local,
        }  # fmt: skip
        for side in ("src", "dst"):
            for axis, count in zip("nchw", (n, c, h, w), strict=True):
                command[f"{side}_{axis}size"] = count
        self.gdma.append(command | more)

    def compute(self, task: int, **more: int) -> None:
        base = {"cmd_en": 1, "cmd_id_en": 1, "tsk_lane_num": 2**64 - 1, "opt_shift_typ": 1}
        self.bdc.append(base | {"tsk_typ": task, "cmd_id_tpu": len(self.bdc) + 1, "cmd_id_gdma": len(self.gdma)} | more)

    def tensor_bytes(self, shape: tuple[int, int, int, int]) -> int:
        """Bytes a lane of a 4N tensor in the automatic layout."""
        n, c, h, w = shape
        return -(-n // 4) * -(-c // LANES) * _up(h * w, 32) * 4

    def load_tensor(self, node: Node, name: str) -> int:
        n, c, h, w = self.shape(name)
        place = self.local(node, self.tensor_bytes((n, c, h, w)))
        self.move(S2L, self.tensors[name], place, FORMAT_WORDS, (-(-n // 4), c, h, w))
        return place

    def load_compact(self, node: Node, data: Array, form: int) -> int:
        """[channels, count]: the values of a channel lie side by side in its lane."""
        channels, count = data.shape
        place = self.local(node, -(-channels // LANES) * count * data.itemsize)
        strides = {f"{s}_{a}stride": v for s in ("src", "dst") for a, v in (("c", count), ("h", count), ("w", 1))}
        self.move(S2L, self.constant(data), place, form, (1, channels, 1, count), stride_enable=1, **strides)
        return place

    def bias(self, node: Node) -> Array | None:
        if len(node.inputs) < 3 or not node.inputs[2]:
            return None
        values = self.graph.constants[node.inputs[2]].astype(np.int64).ravel()
        if values.min() < -32768 or values.max() > 32767:
            raise UnsupportedError(f"layer '{node.name}': a bias outside of 16 bits")
        return values.astype(np.int16)

    # ---- layers

    def layer(self, node: Node, end: int) -> int:
        """Emits a layer whose output goes to device address `end`; returns the next free address."""
        self.free = 0
        kinds = {"Conv2d": self._conv, "MaxPool2d": self._pool, "AvgPool2d": self._pool, "MatMul": self._fc}
        if node.op not in kinds:
            raise UnsupportedError(f"layer '{node.name}': no commands for {node.op}")
        for name in (node.inputs[0], node.outputs[0]):
            if self.graph.types[name].dtype not in ("int8", "uint8"):
                raise UnsupportedError(f"layer '{node.name}': tensor '{name}' is {self.graph.types[name].dtype}")
        n, c, h, w = self.shape(node.outputs[0])
        self.tensors[node.outputs[0]] = end
        kinds[node.op](node)
        return _up(end + -(-n // 4) * 4 * c * h * w, PAGE)

    def _output(self, node: Node, signs: list[int]) -> dict[str, int]:
        """Sign flags and relu for the type of the output."""
        x, y = node.inputs[0], node.outputs[0]
        unsigned = not self.signed(y)
        if not unsigned and not any(signs):
            raise UnsupportedError(f"layer '{node.name}': a signed output of unsigned operands")
        return {"opt_opd0_sign": self.signed(x), "opt_relu": int(unsigned and any(signs))}

    def _shift(self, node: Node) -> int:
        attrs = node.attrs
        shifts = attrs.get("shift", [0])
        known = attrs.get("requant") in ("shift", "multiplier_shift", None) and len(set(shifts)) == 1
        if not known or not 0 <= int(shifts[0]) < 32 or attrs.get("rounding", "half_up") != "half_up":
            raise UnsupportedError(f"layer '{node.name}': another requantization than one shift that rounds half up")
        return int(shifts[0])

    def _window_fields(self, node: Node, kernel: tuple[int, int]) -> dict[str, int]:
        attrs = node.attrs
        top, left, bottom, right = attrs.get("pads", [0, 0, 0, 0])
        stride, dilation = attrs.get("strides", [1, 1]), attrs.get("dilations", [1, 1])
        if max(top, left, bottom, right, *stride, *dilation) > 15:
            raise UnsupportedError(f"layer '{node.name}': pads, strides or dilations above 15")
        _, _, h, w = self.shape(node.inputs[0])
        n, c, oh, ow = self.shape(node.outputs[0])
        # Padding that no window reaches is left out, missing padding at the end is added.
        reach = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip((oh, ow), stride, kernel, dilation, strict=True)]
        bottom, right = max(bottom, reach[0] - top - h), max(right, reach[1] - left - w)
        return {
            "opd0_up_pad": top, "opd0_lf_pad": left, "opd0_dn_pad": bottom, "opd0_rt_pad": right,
            "res_op_y_str": stride[0], "res_op_x_str": stride[1],
            "opd1_y_ins0": dilation[0] - 1, "opd1_x_ins0": dilation[1] - 1,
            "opd0_h": h, "opd0_w": w, "opd1_h": kernel[0], "opd1_w": kernel[1],
            "res0_n": n, "res0_c": c, "res0_h": oh, "res0_w": ow,
        }  # fmt: skip

    def _conv(self, node: Node) -> None:
        weight = self.graph.constants[node.inputs[1]]
        outputs, inputs, kh, kw = weight.shape
        group, channels = node.attrs.get("group", 1), self.shape(node.inputs[0])[1]
        depthwise = group == channels and outputs == channels and group > 1
        if group != 1 and not depthwise:
            raise UnsupportedError(f"layer '{node.name}': grouped convolution")
        if depthwise:
            packed = weight.reshape(outputs, kh * kw)
        else:
            groups = -(-inputs // 4)
            packed = np.zeros((outputs, kh * kw, groups * 4), weight.dtype)
            packed[:, :, :inputs] = weight.reshape(outputs, inputs, kh * kw).transpose(0, 2, 1)
            packed = packed.reshape(outputs, -1)
        bias = self.bias(node)
        signs = [self.signed(node.inputs[0]), int(weight.dtype == np.int8), int(bias is not None)]
        fields = self._output(node, signs) | self._window_fields(node, (kh, kw))
        fields |= {"opt_opd1_sign": signs[1], "opt_opd2_sign": signs[2], "opt_opd2_prec": INT16}
        fields |= {"opt_right_shift": self._shift(node), "opd0_c": channels, "tsk_opd_num": 2 if bias is None else 3}
        fields["opd0_addr"] = self.load_tensor(node, node.inputs[0])
        fields["opd1_addr"] = self.load_compact(node, packed, FORMAT_INT8)
        if bias is not None:
            fields["opd2_addr"] = self.load_compact(node, bias.reshape(-1, 1), FORMAT_INT16)
        self._store(node, WINDOW if depthwise else CONV, fields | {"tsk_eu_typ": MAC if depthwise else 0})

    def _pool(self, node: Node) -> None:
        kh, kw = node.attrs["kernel"]
        fields = self._output(node, [self.signed(node.inputs[0])]) | self._window_fields(node, (kh, kw))
        fields["tsk_opd_num"] = 2
        if node.op == "MaxPool2d":
            fields["tsk_eu_typ"] = MAX
        else:
            multipliers = node.attrs.get("multiplier", [1])
            if len(multipliers) != 1 or not 0 <= multipliers[0] <= 255:
                raise UnsupportedError(f"layer '{node.name}': an average with several or large multipliers")
            fields |= {"tsk_eu_typ": MAC, "opt_opd1_const": 1, "opd1_addr": int(multipliers[0])}
            fields["opt_right_shift"] = self._shift(node)
        fields["opd0_addr"] = self.load_tensor(node, node.inputs[0])
        self._store(node, WINDOW, fields)

    def _store(self, node: Node, task: int, fields: dict[str, int]) -> None:
        n, c, h, w = self.shape(node.outputs[0])
        place = self.local(node, self.tensor_bytes((n, c, h, w)))
        self.compute(task, **fields, res0_addr=place)
        self.move(L2S, self.tensors[node.outputs[0]], place, FORMAT_WORDS, (-(-n // 4), c, h, w))

    def _fc(self, node: Node) -> None:
        """Rows of 4N tensors are taken apart by a column stride of 4 bytes, and put together again."""
        weight = self.graph.constants[node.inputs[1]]
        depth, outputs = weight.shape
        rows = self.shape(node.inputs[0])[0]
        bias = self.bias(node)
        signs = [self.signed(node.inputs[0]), int(weight.dtype == np.int8), int(bias is not None)]
        left_sections, sections = -(-depth // SECTION), -(-outputs // SECTION)
        left_stride = -(-left_sections // LANES) * SECTION
        stride = -(-sections // LANES) * SECTION
        left = self.local(node, rows * left_stride)
        for row in range(rows):
            self._matrix(
                S2L, self.row_address(node.inputs[0], row), left + row * left_stride, (1, depth), 4, FORMAT_INT8
            )
        right = self.local(node, depth * stride)
        self._matrix(S2L, self.constant(weight), right, (depth, outputs), 1, FORMAT_INT8)
        fields = self._output(node, signs) | {
            "opt_opd1_sign": signs[1], "opt_opd2_sign": signs[2], "opt_opd2_prec": INT16,
            "opt_right_shift": self._shift(node), "tsk_opd_num": 2 if bias is None else 3,
            "opd0_addr": left, "opd1_addr": right, "opd0_n": rows, "opd0_c": left_sections, "opd0_w": SECTION,
            "opd1_w": depth - (left_sections - 1) * SECTION, "res0_n": 1, "res0_c": sections, "res0_h": 1,
            "res0_w": SECTION,
        }  # fmt: skip
        if bias is not None:
            fields["opd2_addr"] = self.local(node, 2 * stride)
            self._matrix(S2L, self.constant(bias), fields["opd2_addr"], (1, outputs), 1, FORMAT_INT16)
        result = self.local(node, rows * stride)
        self.compute(MATMUL, **fields, res0_addr=result)
        for row in range(rows):
            place = self.row_address(node.outputs[0], row)
            self._matrix(L2S, place, result + row * stride, (1, outputs), 4, FORMAT_INT8)

    def row_address(self, name: str, row: int) -> int:
        """First byte of a batch of a 4N tensor."""
        _, c, h, w = self.shape(name)
        return self.tensors[name] + row // 4 * c * h * w * 4 + row % 4

    def _matrix(self, direction: int, device: int, local: int, size: tuple[int, int], step: int, form: int) -> None:
        """rows x columns of device memory, `step` elements from column to column, and sections of a local matrix."""
        rows, columns = size
        sections = -(-columns // SECTION)
        outer, inner = ("src", "dst") if direction == S2L else ("dst", "src")
        more = {
            "sys_mem_type": 1, "stride_enable": 1,
            f"{outer}_nsize": 1, f"{outer}_csize": 1, f"{outer}_hsize": rows, f"{outer}_wsize": columns,
            f"{outer}_hstride": columns * step, f"{outer}_wstride": step,
            f"{inner}_nsize": rows, f"{inner}_csize": sections, f"{inner}_hsize": 1, f"{inner}_wsize": SECTION,
            f"{inner}_nstride": -(-sections // LANES) * SECTION, f"{inner}_cstride": SECTION,
            f"{inner}_hstride": SECTION, f"{inner}_wstride": 1,
        }  # fmt: skip
        self.move(direction, device, local, form, (1, 1, 1, 1), **more)


def assemble(graph: Graph) -> Assembled:
    """Command streams of a quantized graph with int8 inputs in 4N layout.

    Raises UnsupportedError naming the layer for other ops, precisions and sizes.
    """
    emitter = _Emitter(graph)
    total = sum(a.nbytes + 16 for a in graph.constants.values())
    packed = sum(4 * graph.constants[n.inputs[1]].nbytes for n in graph.nodes if n.op == "Conv2d")
    end = _up(COEFFICIENTS + total + packed, PAGE)
    for name in graph.inputs:
        emitter.tensors[name] = end
        n, c, h, w = emitter.shape(name)
        end = _up(end + -(-n // 4) * 4 * c * h * w, PAGE)
    for node in graph.nodes:
        if node.op == "Reshape" and emitter.shape(node.inputs[0])[0] == emitter.shape(node.outputs[0])[0]:
            emitter.tensors[node.outputs[0]] = emitter.tensors[node.inputs[0]]
            continue
        end = emitter.layer(node, end)
    return Assembled(
        encode("bdc", emitter.bdc), encode("gdma", emitter.gdma), bytes(emitter.coefficients), emitter.tensors, end
    )
