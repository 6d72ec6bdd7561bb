"""Why a layer differs: structural patterns, and proof by simulating it again under one changed rule.

`case` holds one layer with its tensors, `rules` ... `values` list the hypotheses, `search` tries them, `patterns`
classifies what no hypothesis explains.
"""
