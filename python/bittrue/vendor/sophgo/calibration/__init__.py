"""The vendor's calibrator `calibration_use_pb`: transforms, thresholds, per-layer fields, INT8 umodels."""
