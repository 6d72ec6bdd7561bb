"""The first half of document 000 on a real face detector (SSD), and the launchers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.commands import Command, command
from tests.shared import SHARED, needs_shared
from tests.vendor.compilers.networks import caffe_files

from bittrue.vendor.sophgo.shims import write_shims


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys)


@needs_shared
def test_a_face_detector_for_two_batches(tool: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SHARED is not None
    folder = SHARED / "models/caffe/yufacedetect-ssd"
    model = (
        f"--model={folder / 'yufacedetectnet-open-v1.prototxt'}",
        f"--weight={folder / 'yufacedetectnet-open-v1.caffemodel'}",
    )
    monkeypatch.chdir(tmp_path)
    for batch, out in ((1, "out/face"), (4, "out/face_4batch")):
        shapes = f"--shapes=[{batch},3,120,160]"
        assert tool("bmnetc", *model, shapes, f"--outdir=./{out}", "--target=BM1684", "--cmp=true")[0] == 0
        code, text = tool("bmrt_test", f"--context_dir=./{out}/")
        assert code == 0 and "+++ The network[YuFaceDetectNet] stage[0] cmp success +++" in text
        shutil.copy(f"{out}/compilation.bmodel", f"out/f32_{batch}b.bmodel")
    combine = ("--combine", "out/f32_1b.bmodel", "out/f32_4b.bmodel", "-o", "out/fp32_face.bmodel")
    code, text = tool("bm_model.bin", *combine)
    assert code == 0 and "Success: combined to [out/fp32_face.bmodel]." in text
    assert tool("bm_model.bin", "--combine_dir", "out/face", "out/face_4batch", "-o", "out/both")[0] == 0
    code, text = tool("bmrt_test", "--context_dir=out/both")
    assert code == 0 and "stage[0] cmp success" in text and "stage[1] cmp success" in text


def test_launchers_and_modules(tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    names = {p.name for p in write_shims(bin_)}
    assert {"bmnetc", "bmneto", "bmnetu", "bmnett", "bmnetm", "bmnetp", "bmnetd", "bmpaddle"} <= names
    (tmp_path / "script.py").write_text(
        "import bmnetc, bmneto, bmnetu\n"
        f"bmnetc.compile({', '.join(repr(o.partition('=')[2]) for o in caffe_files(tmp_path))}, 'out', 'BM1682')\n"
    )

    def shell(command: str) -> subprocess.CompletedProcess[str]:
        line = f". {bin_}/envsetup_cmodel.sh; {command}"
        return subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True)

    done = shell("bmnetu --model=x")
    assert done.returncode == 2 and done.stderr.startswith("error: bmnetu: --weight, --outdir is necessary")
    done = shell("python3 script.py")
    assert done.returncode == 0 and (tmp_path / "out/compilation.bmodel").exists(), done.stderr
    done = shell("python3 -m bmneto --opt=9")
    assert done.returncode == 2 and "--opt=9: one of 0, 1, 2" in done.stderr
    done = shell("python3 -m bmnett --model=x")
    assert done.returncode == 3 and done.stderr.startswith("error: bmnett: models of TensorFlow are not read")
