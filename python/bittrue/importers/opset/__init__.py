"""Models of other opsets, older and newer, rewritten op by op to the opset of the float graph.

`rewrite` finds the rules; one file a subject holds them, `writer` what they work with, `conform` the check of the
result. Nodes keep the names of their results.
"""

from bittrue.importers.opset.rewrite import check_opset, to_fixed_opset

__all__ = ["check_opset", "to_fixed_opset"]
