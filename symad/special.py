"""Special functions of nodes, under the names of :mod:`scipy.special` and with its arguments.

``scipy.special.xlogy(x, y)`` of nodes is ``sm.special.xlogy(x, y)``, and so are all of SciPy's
ufuncs of these names.  Results are float64, or float32 if all operands are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from symad.errors import GraphTypeError
from symad.functions.absent import absent
from symad.graph.node import Node
from symad.graph.op import call
from symad.ops.adjoint import stop_gradient
from symad.ops.base import Operand, as_nodes, register
from symad.ops.comparison import equal, greater, isfinite, isinf, where
from symad.ops.exponential import exp, expm1, log, log1p, softplus
from symad.ops.exponential import sigmoid as expit
from symad.ops.nn import log_softmax as _log_softmax
from symad.ops.nn import logsumexp as _logsumexp
from symad.ops.nn import softmax as _softmax
from symad.ops.reduce import sum
from symad.ops.special import digamma, erf, erfc, erfinv, gammaln, polygamma
from symad.ops.special import digamma as psi
from symad.ops.special_gamma import (
    beta,
    betainc,
    betaincinv,
    betaln,
    binom,
    gamma,
    gammainc,
    gammaincc,
    gammaincinv,
    gammasgn,
    poch,
    zeta,
)
from symad.ops.special_logarithms import (
    boxcox,
    boxcox1p,
    inv_boxcox,
    kl_div,
    logit,
    rel_entr,
    xlog1py,
    xlogy,
)
from symad.ops.special_normal import erfcinv, erfcx, log_ndtr, ndtr, ndtri
from symad.ops.special_series import (
    exp1,
    expi,
    expn,
    exprel,
    hyp1f1,
    hyp2f1,
    i0,
    i0e,
    i1,
    i1e,
    real,
    spence,
)

__all__ = [
    "beta", "betainc", "betaincinv", "betaln", "binom", "boxcox", "boxcox1p", "comb", "digamma",
    "entr", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "exp1", "expi", "expit", "expn", "exprel",
    "factorial", "gamma", "gammainc", "gammaincc", "gammaincinv", "gammaln", "gammasgn", "hyp1f1",
    "hyp2f1", "i0", "i0e", "i1", "i1e", "inv_boxcox", "kl_div", "log1mexp", "log_expit", "log_ndtr",
    "log_softmax", "loggamma", "logit", "logsumexp", "multigammaln", "ndtr", "ndtri", "poch",
    "polygamma", "psi", "rel_entr", "softmax", "softplus", "spence", "xlog1py", "xlogy", "zeta",
]  # fmt: skip

if not TYPE_CHECKING:  # so that checkers see that other names do not exist

    def __getattr__(name: str) -> Any:
        raise absent(__name__, name)
