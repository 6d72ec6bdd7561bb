"""Detections of two networks on the same pictures: decoding, matching, average precision, drawing."""
