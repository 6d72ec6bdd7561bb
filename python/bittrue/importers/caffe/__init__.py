"""Caffe models to the float graph.

`schema` has the messages, `read` the files, `upgrade` the old syntaxes, `net` phases and in-place results, `blobs` the
weights, `writer` and `layers` the rules, `convert` puts them together.
"""

from bittrue.importers.caffe.convert import CaffeOptions, load_caffe

__all__ = ["CaffeOptions", "load_caffe"]
