"""The command line of `calibration_use_pb`."""

from __future__ import annotations

from bittrue.vendor.sophgo.arguments import Option, Tool

COMMANDS = ("quantize", "release", "graph_transform")
METHODS = (
    "KL", "SYMKL", "JSD", "ADMM", "ACIQ", "MAX", "PERCENTILE9999", "MSE", "ACIQ_GAUSS", "ACIQ_LAPLACE",
)  # fmt: skip
BINS = ("512", "1024", "2048", "4096")

TOOL = Tool(
    "calibration_use_pb",
    "Sophgo's calibration: quantize (old name release), or graph_transform alone.",
    (
        Option("model", "path", "prototxt with a data layer", required=True),
        Option("weights", "path", "fp32umodel or caffemodel; results go to its folder", required=True),
        Option("iterations", "int", "records used, one per iteration", 200, aliases=("iteration",)),
        Option("bitwidth", "text", "precision", "TO_INT8"),
        Option("target", "text", "chip", "BM1684", choices=("BM1684", "BM1684X", "BM1686")),
        Option("th_method", "text", "threshold method", "KL", choices=METHODS),
        Option("th_binnum", "int", "bins of the histogram", 2048, choices=BINS),
        Option("accuracy_opt", "bool", "depthwise convolutions in float; with merge_depwise_scale", False),
        Option("conv_group", "bool", "convolutions split into groups of output channels of like range", False),
        Option("per_channel", "bool", "channels equalized by powers of two, where one shift is for all", False),
        Option("winograd", "bool", "prepare 3x3 convolutions for Winograd", False),
        Option("graph_transform", "bool", "transform the network first", False),
        Option("fuse_preprocess", "bool", "mean and scale of the data layer into the first convolution", False),
        Option("fold_concat_scale", "bool", "a Scale before a Concat takes the Concat's threshold", False),
        Option("merge_depwise_scale", "bool", "a Scale after a depthwise convolution goes into it", False),
        Option("merge_scale_to_conv", "bool", "a Scale after a convolution goes into it", False),
        Option("notmerge_conv_layer", "names", "convolutions that keep their Scale", []),
        Option("fpfwd_inputs", "names", "these layers and all before them in float", []),
        Option("fpfwd_outputs", "names", "these layers and all after them in float", []),
        Option("fpfwd_blocks", "names", "these layers, up to the next computing one, in float", []),
        Option("pad_value", "float", "what convolutions pad with", 0.0),
        Option("dump_dist", "path", "file for the statistics of the layers"),
        Option("load_dist", "path", "statistics to take in place of data"),
        Option("random_input_compare", "bool", "the self check of the transforms uses random input", True),
        Option(
            "use_data_compare", "bool", "the self check uses the data layer; the same as -norandom_input_compare", False
        ),
        Option("fp32_diff", "float", "largest difference the self check allows", 0.001),
        Option("save_test_proto", "bool", "write the prototxts with data layer too; always with release", False),
        Option("save_model", "bool", "write the int8umodel", True),
        Option("allow_unknown_fields", "bool", "skip prototxt fields that are not known", False),
        Option("debug", "int", "more lines in the log", 0, aliases=("v",)),
    ),
    "calibration_use_pb quantize -model=ssd_test.prototxt -weights=ssd.caffemodel -iterations=200",
    ("command",),
)
