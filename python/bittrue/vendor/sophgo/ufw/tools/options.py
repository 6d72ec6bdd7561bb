"""The command lines of `ufw.tools.<framework>_to_umodel`."""

from __future__ import annotations

from bittrue.vendor.sophgo.arguments import Option, Tool

PRESETS = ("VGG", "INCEPTION", "SSD_V", "SSD_I")
# tool -> what it reads. Of the others of the vendor's there is no frontend.
TOOLS = {"cf_to_umodel": "Caffe", "on_to_umodel": "ONNX"}
WITHOUT_FRONTEND = {
    "tf_to_umodel": "TensorFlow", "pt_to_umodel": "PyTorch", "mx_to_umodel": "MXNet", "dn_to_umodel": "Darknet",
    "pp_to_umodel": "Paddle",
}  # fmt: skip


def tool(name: str) -> Tool:
    """The command line of a tool."""
    caffe = name == "cf_to_umodel"
    files = (
        Option("m", "path", "prototxt" if caffe else "ONNX file", required=True),
        *((Option("w", "path", "caffemodel", required=True),) if caffe else ()),
    )
    common = (
        Option("i", "names", "names of the inputs"),
        Option("o", "names", "names of the outputs"),
        Option("s", "shapes", "shapes of the inputs, NCHW"),
        Option("d", "path", "folder to write", "compilation"),
        Option("n", "text", "name of the network; default: the file's"),
        Option("D", "path", "LMDB of the data layer; without it the input stays a plain one"),
        Option("cmp", "bool", "compare with the model on random input", True),
        Option("no-transform", "bool", "no preprocessing in the data layer", False),
        Option("p", "text", "preprocessing of the data layer", choices=PRESETS),
        Option("a", "bool", "add top-1 and top-5 accuracies", False),
        Option("dyn", "bool", "accepted; shapes are chosen when compiling", False),
        Option("seed", "int", "of the random input", 0),
        Option("allow_unknown_fields", "bool", "skip prototxt fields that are not known", False),
    )
    example = "-m net.prototxt -w net.caffemodel" if caffe else "-m net.onnx -s [1,3,224,224]"
    return Tool(
        name, f"A {TOOLS[name]} model as fp32umodel and prototxt.", files + common,
        f"python3 -m ufw.tools.{name} {example} -D lmdb -d umodel",
    )  # fmt: skip
