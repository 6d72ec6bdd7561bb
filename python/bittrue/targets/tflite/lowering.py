"""No float op is lowered: TFLite models come quantized (`bittrue.importers.tflite_quantized`)."""

from __future__ import annotations

from typing import Any

INT8: dict[str, Any] = {}
