"""Loaded models: networks of all folders under one numbering, each with its reference files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from bittrue.containers.bmodel import Bmodel, StageRef, read_bmodel
from bittrue.containers.build import IoTensor, io_tensors
from bittrue.containers.context_dir import INPUTS, MODEL
from bittrue.containers.refdata import from_bytes
from bittrue.devices.bm1684.session import LARGEST_MEMORY
from bittrue.errors import BittrueError, DataError
from bittrue.vendor.sophgo.bmrt.log import OWN, WARNING, WRONG, Log
from bittrue.vendor.sophgo.bmrt.numbers import shape_text
from bittrue.vendor.sophgo.bmrt.options import Options

Array = np.ndarray[Any, Any]
CHIP_IDS = {"BM1682": 0x1682, "BM1684": 0x1684, "BM1684X": 0x1686}
EXPORTED = "output.dat"


@dataclass
class Folder:
    """One --context_dir (or --bmodel): the model, where it lies, and its open files.

    inputs, expected: reference data; absent where nothing is compared. output: of --export_output.
    """

    path: Path
    model: Bmodel
    inputs: BinaryIO | None = None
    expected: BinaryIO | None = None
    output: BinaryIO | None = None

    def seek(self, position: int) -> None:
        """Moves the reference files to the first stage of the network at this position of the model."""
        for file in (self.inputs, self.expected):
            if file is not None:
                file.seek(0)
        self.skip([s for s in self.model.stages() if s.net_index < position])

    def skip(self, stages: list[StageRef]) -> None:
        """Moves the reference files over some stages."""
        for ref in stages:
            for file, tensors in zip((self.inputs, self.expected), stage_io(ref), strict=True):
                if file is not None:
                    file.seek(min(sum(t.bytes for t in tensors), bytes_left(file)), os.SEEK_CUR)

    def close(self) -> None:
        for file in (self.inputs, self.expected, self.output):
            if file is not None:
                file.close()


@dataclass
class Net:
    """A network: its number over all folders, its position in the model of its folder, its stages."""

    index: int
    name: str
    folder: Folder
    position: int
    stages: list[StageRef]


def bytes_left(file: BinaryIO) -> int:
    """How many bytes of a file are behind its position."""
    return max(0, os.fstat(file.fileno()).st_size - file.tell())


def stage_io(ref: StageRef) -> tuple[list[IoTensor], list[IoTensor]]:
    """Inputs and outputs of a stage. Raises DataError for tensors that no device can hold."""
    inputs, outputs = io_tensors(ref.stage.input_tensor), io_tensors(ref.stage.output_tensor)
    for t in (*inputs, *outputs):
        if max(t.bytes, *t.shape, 0) > LARGEST_MEMORY:
            raise DataError(f"tensor '{t.name}' of shape {list(t.shape)} is larger than the memory of a device")
    return inputs, outputs


def read_tensors(file: BinaryIO, tensors: list[IoTensor], net: int, log: Log) -> dict[str, Array]:
    """The next tensors of a reference file."""
    values = {}
    for t in tensors:
        if (left := bytes_left(file)) < t.bytes:
            text = f"Failed to fread reference data of net #{net}, need_bytesize={t.bytes}, but just {left} bytes left"
            log.fatal("read_ref_data:588", text)
        values[t.name] = from_bytes(t, file.read(t.bytes))
    return values


class Loader:
    """Loads folders in command order, with the tester's lines."""

    def __init__(self, options: Options, log: Log) -> None:
        self.options, self.log = options, log
        self.nets: list[Net] = []
        self.folders: list[Folder] = []
        self.chip = ""  # of the one device: the option, or that of the first model

    def load(self) -> list[Net]:
        """All networks. A network whose name exists already is not loaded again."""
        for number, name in enumerate(self.options.folders or self.options.bmodels):
            path = Path(name) / MODEL if self.options.folders else Path(name)
            try:
                model = read_bmodel(path)
            except BittrueError as e:
                model = None
                reason = str(e)
            if number == 0:
                self.chip = self.options.chip or (model.chip if model else "BM1684")
                chip_id = CHIP_IDS.get(self.chip.upper(), 0x1684)
                self.log.info("bmrt_test:833", f"device_index={self.options.device}, chip_id={chip_id}")
            self.log.info("load_bmodel:1967", f"Loading bmodel from [{path}]. Thanks for your patience...")
            if model is None:
                self.log.line(OWN, WRONG, reason)
                self.log.fatal("load_bmodel:730", f"Load bmodel[{path}] failed")
            self._check_chip(model, path)
            self._add(model, path)
        for net in self.nets:
            self._show(net)
        return self.nets

    def _check_chip(self, model: Bmodel, path: Path) -> None:
        if self.chip.upper() != model.chip.upper():
            text = f"Error: runtime arch[{self.chip}] is not the same with bmodel arch[{model.chip}]"
            self.log.line("load_bmodel:1712", WRONG, text)
            self.log.fatal("load_bmodel:730", f"Load bmodel[{path}] failed")

    def _add(self, model: Bmodel, path: Path) -> None:
        self.log.info("load_bmodel:1730", f"Bmodel loaded, version {model.root.version}")
        loaded = {n.name for n in self.nets}
        folder = Folder(path.parent, model)
        self.folders.append(folder)
        before = len(self.nets)
        stages = list(model.stages())
        for i, table in enumerate(model.nets):
            if table.name in loaded:
                text = f"Warning: Net[{table.name}] exist, does not load again"
                self.log.line("load_bmodel:1726", WARNING, text)
                continue
            own = [s for s in stages if s.net_index == i]
            self.nets.append(Net(len(self.nets), str(table.name), folder, i, own))
        self.log.info("load_bmodel:1734", f"pre net num: {before}, load net num: {len(self.nets) - before}")
        if self.options.folders and self.options.compare:
            folder.inputs = self._open(folder.path / INPUTS, "open_ref_file:520")
            folder.expected = self._open(folder.path / self.options.output_ref, "open_ref_file:524")
        if "export_output" in self.options.flags:
            folder.output = self._open(folder.path / EXPORTED, "bmrt_test:850", "wb")

    def _open(self, path: Path, where: str, mode: str = "rb") -> BinaryIO:
        try:
            return cast(BinaryIO, path.open(mode))
        except OSError:
            self.log.fatal(where, f"cannot open file {path}")

    def _show(self, net: Net) -> None:
        self.log.info("show_net_info:2535", " ########################")
        table = net.folder.model.nets[net.position]
        cores = max([1, *(ref.stage.core_num for ref in net.stages)])
        kind = "Cascade" if table.cascade is not None else f"Index={net.index}, CoreNum={cores}"
        self.log.info("show_net_info:2540", f" NetName: {net.name}, {kind}")
        for ref in net.stages:
            self.log.info("show_net_info:2543", f" ---- stage {ref.stage_index} ----")
            for side, line, tensors in zip(("Input", "Output"), (2546, 2557), stage_io(ref), strict=True):
                for k, t in enumerate(tensors):
                    self.log.info(
                        f"show_net_info:{line}",
                        f"   {side} {k}) '{t.name}' shape=[ {shape_text(t.shape)}] dtype={t.dtype.upper()} "
                        f"scale={t.scale:g} zero_point={t.zero_point} device_id=0",
                    )
        self.log.info("show_net_info:2567", " ########################")

    def close(self) -> None:
        """Closes all files."""
        for folder in self.folders:
            folder.close()
