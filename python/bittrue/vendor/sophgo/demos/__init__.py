"""The vendor's demos of accuracy: what a network finds before and after quantization."""

CLASSIFY = "classify_demo"
DETECT = ("detect_demo", "face_demo")
