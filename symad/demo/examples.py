"""The two example graphs of the lecture."""

from __future__ import annotations

from typing import Any

import symad as sm


def running_example(shape: Any = None) -> tuple[sm.Variable, sm.Variable, sm.Node]:
    """Return x1, x2 and y = ln(x1) + x1·x2 − sin(x2).

    Parameters
    ----------
    shape : tuple, optional
        The shape of x1 and x2: ``()`` for numbers; any shape by default.

    Examples
    --------
    >>> x1, x2, y = running_example()
    >>> print(f"{y.eval({x1: 2.0, x2: 5.0}):.3f}")
    11.652
    """
    x1, x2 = sm.Variable("x1", shape), sm.Variable("x2", shape)
    return x1, x2, sm.log(x1) + x1 * x2 - sm.sin(x2)


def shared_exponential() -> tuple[sm.Variable, sm.Node]:
    """Return v1 and f = (exp(v1) + 1)·exp(v1), where both factors use the same exp(v1).

    Examples
    --------
    >>> v1, f = shared_exponential()
    >>> sm.gradients(f, v1).eval({v1: 0.0})  # 2·exp(2·v1) + exp(v1)
    np.float64(3.0)
    """
    v1 = sm.Variable("v1")
    v2 = sm.exp(v1)
    return v1, (v2 + 1) * v2
