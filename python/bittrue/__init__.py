"""Bit-true simulation and verification of quantized neural networks for edge NPUs."""

__version__ = "0.1.0"
