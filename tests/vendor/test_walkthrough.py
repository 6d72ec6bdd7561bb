"""docs/walkthrough-sophgo.md: every block of it, as it stands, with launchers in place of the vendor's tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.shared import SHARED, needs_shared

from bittrue.vendor.sophgo.shims import SHIMS

PAGE = Path(__file__).parents[2] / "docs/walkthrough-sophgo.md"
MODEL = "models/caffe/yufacedetect-ssd"


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


@needs_shared
def test_every_command_of_the_page(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    (tmp_path / "model").mkdir()
    (tmp_path / "pictures").mkdir()
    for name, file in (("prototxt", "352cf0d2.prototxt"), ("caffemodel", "caffemodel")):
        target = tmp_path / "model" / ("ssd_deploy.prototxt" if name == "prototxt" else "ssd.caffemodel")
        shutil.copyfile(SHARED / MODEL / f"yufacedetectnet-open-v1.{file}", target)
    pictures = [SHARED / "data/images/parade.jpg", *sorted((SHARED / "data/coco-20").glob("*.jpg"))[:5]]
    for picture in pictures:
        shutil.copyfile(picture, tmp_path / "pictures" / picture.name)
    (tmp_path / "walk.sh").write_text("set -e\n" + "\n".join(blocks()))
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "walk.sh"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-3000:]
    assert text.count("+++ The network[YuFaceDetectNet] stage[0] cmp success +++") == 4
    assert text.count("# Store bmodel of BMCompiler.") == 5
    assert text.count("compared 72 tensors of all layers with the reference: all equal") == 3
    for name in ("fp32_ssd", "int8_ssd"):
        assert f"Success: combined to [out/{name}.bmodel]." in text
    assert text.count("stage 1, core num: 1") == 2 and "6 records, 1000 iterations were asked for" in text
    assert text.count("int8 calibration done.") == 3
    matched = re.search(r"fp32 (\d+) bboxes: matched (\d+), missing (\d+), extra (\d+)", text.split("detect_demo")[-1])
    assert matched, text[-500:]
    total, found, missing, _ = map(int, matched.groups())
    assert total == found >= 2 and not missing
    assert (tmp_path / "detection.png").is_file() and (tmp_path / "detection_int8.png").is_file()
    bm1682 = (tmp_path / "out/ssd_bm1682/compilation.bmodel").read_bytes()
    assert b"BM1682" in bm1682


def test_commands_of_the_page_are_launchers_or_of_the_system() -> None:
    lines = re.sub(r"\\\n", " ", "\n".join(blocks()))
    lines = re.sub(r"(?s)<<'PROTOTXT'.*?^PROTOTXT$|-c '.*?'", "", lines, flags=re.M)
    commands = {line.split()[0] for line in lines.splitlines() if line.strip()}
    assert len(commands & set(SHIMS)) >= 8
    assert commands - set(SHIMS) <= {"bittrue", "python3", ".", "sed", "mkdir", "cp", "ls", "cat", "{", "}"}
