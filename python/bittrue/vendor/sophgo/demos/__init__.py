"""The vendor's demos of accuracy: what a network finds before and after quantization."""

CLASSIFY = "classify_demo"
VIEW = "view_demo"
DETECT = ("detect_demo", "face_demo")
