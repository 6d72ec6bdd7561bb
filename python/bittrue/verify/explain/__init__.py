"""Why a layer differs: proof by simulating it again under one change, and patterns where no change proves anything.

`case` is one layer with its tensors. `values` (storage, wrapping, channels), `operands`, `rules`, `data`, `fits` and
`floats` list hypotheses, the most specific first; `search` tries them; `patterns` classifies what is left; `run` goes
through the layers of a result and prefers rules that explain many; `stored` and `dump` start from a stored result or
from a dump made elsewhere.
"""
