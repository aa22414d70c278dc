"""Whether any or all elements are true."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from symad.graph.node import Node, apply
from symad.graph.op import call
from symad.graph.sample import Sample, booleans, fixed, integers
from symad.ops.adjoint import cast
from symad.ops.base import Operand, as_node, register
from symad.ops.reduce import Reduction, as_axis


class TruthReduction(Reduction):
    """Whether the elements are true: a boolean, without a derivative."""

    extremum: ClassVar[str]
    """For booleans, any is the maximum and all the minimum."""

    def differentiable(self, slot: int) -> bool:
        return False

    def decompose(self, *inputs: Node) -> Node | None:
        (x,) = inputs
        truth = cast(x, np.dtype(bool))
        extremum: Node = call(self.extremum, truth, self.axis, keepdims=self.keepdims)
        return extremum


@register
def any(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return whether an element of ``x`` along ``axis`` is true (is not zero).

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        A boolean; false for no elements.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.any(sm.constant([[True, False], [False, False]]), axis=1).eval()
    array([ True, False])
    """
    return apply(AnyTrue(as_axis(axis), bool(keepdims)), as_node(x))


class AnyTrue(TruthReduction):
    """See :func:`any`."""

    name = "any"
    in_expressions = True
    numpy = np.any
    extremum = "max"
    samples = (
        Sample(lambda x: any(x), [booleans(3, 2)]),
        Sample(lambda x: any(x, axis=(0, -1)), [booleans(3, 2, 2)], label="axes"),
        Sample(lambda x: any(x, axis=0, keepdims=True), [booleans(0, 2)], label="empty"),
        Sample(lambda x: any(x, axis=1), [integers(3, 2, low=0, high=2)], label="integers"),
        Sample(lambda x: any(x), [fixed([0.0, np.nan])], order=0, label="special: NaN is true"),
    )


@register
def all(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return whether all elements of ``x`` along ``axis`` are true (are not zero).

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        A boolean; true for no elements.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.all(sm.constant([[True, False], [True, True]]), axis=1).eval()
    array([False,  True])
    """
    return apply(AllTrue(as_axis(axis), bool(keepdims)), as_node(x))


class AllTrue(TruthReduction):
    """See :func:`all`."""

    name = "all"
    in_expressions = True
    numpy = np.all
    extremum = "min"
    samples = (
        Sample(lambda x: all(x), [booleans(3, 2)]),
        Sample(lambda x: all(x, axis=-1, keepdims=True), [booleans(3, 2)], label="keepdims"),
        Sample(lambda x: all(x, axis=0), [booleans(0, 2)], label="empty"),
        Sample(lambda x: all(x, axis=1), [integers(3, 2, low=0, high=2)], label="integers"),
    )
