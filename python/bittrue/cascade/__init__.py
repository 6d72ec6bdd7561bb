"""Cascades: detectors whose later networks look at what earlier ones found."""
