"""Quantized TFLite models as quantized graphs, with the arithmetic of TFLite's reference kernels.

A model is imported op by op; `meta["left_out"]` lists the ops without an integer meaning here and what follows them.
What was compared with LiteRT's reference kernels, and how often, is in docs/tflite.md.
"""

from bittrue.importers.tflite_quantized.load import load_tflite

__all__ = ["load_tflite"]
