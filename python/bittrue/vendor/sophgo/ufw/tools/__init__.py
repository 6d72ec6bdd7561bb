"""`ufw.tools`: models of other frameworks as umodels. Each tool is a function of its arguments and a module to run."""

from collections.abc import Callable, Sequence
from functools import partial

from bittrue.vendor.sophgo.ufw.tools.convert import convert
from bittrue.vendor.sophgo.ufw.tools.options import TOOLS, WITHOUT_FRONTEND

Converter = Callable[[Sequence[str]], int]
(cf_to_umodel, on_to_umodel, tf_to_umodel, pt_to_umodel, mx_to_umodel, dn_to_umodel, pp_to_umodel) = (
    partial(convert, name) for name in (*TOOLS, *WITHOUT_FRONTEND)
)

__all__ = ["TOOLS", "Converter", "convert", *TOOLS, *WITHOUT_FRONTEND]
