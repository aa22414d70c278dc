"""Attention, embeddings and dropout."""

from __future__ import annotations

import math

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Node, reporting
from symad.graph.op import explained
from symad.nn.activations import floating
from symad.ops.adjoint import cast
from symad.ops.base import Operand, as_node, as_nodes
from symad.ops.comparison import logical_not, where
from symad.ops.create import arange
from symad.ops.gather import take
from symad.ops.nn import softmax
from symad.ops.permute import matrix_transpose
from symad.ops.shape import expand_dims
from symad.ops.size import axis_size
from symad.ops.size import shape as shape_of
from symad.ops.truth import any
from symad.random import uniform


@explained
def scaled_dot_product_attention(
    query: Operand,
    key: Operand,
    value: Operand,
    mask: Operand | None = None,
    causal: bool = False,
    scale: Operand | None = None,
) -> Node:
    """Return softmax(scale · query keyᵀ) value, where positions that a mask forbids have no part.

    Parameters
    ----------
    query : node or array of shape (..., targets, features)
    key : node or array of shape (..., sources, features)
    value : node or array of shape (..., sources, width)
    mask : node or array of shape (..., targets, sources), optional
        Booleans, true where a target may see a source; or numbers, which are added to the scores.
        A target that may see no source gets 0, with derivative 0.
    causal : bool
        Whether target i may see source j only if j <= i.
    scale : number or node, optional
        By default 1/√features.

    Returns
    -------
    Node
        Of shape (..., targets, width).

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.constant([[1.0, 0.0], [0.0, 1.0]])
    >>> sm.nn.scaled_dot_product_attention(x, x, x, causal=True).eval().round(3)
    array([[1.  , 0.  ],
           [0.33, 0.67]])
    """
    query, key, value = as_nodes(query, key, value)
    if scale is None:
        features = axis_size(query, -1)
        scale = features**-0.5 if isinstance(features, Node) else 1 / math.sqrt(features or 1)
    scores = (query * scale) @ matrix_transpose(key)
    allowed = None
    if mask is not None:
        given = as_node(mask)
        if given.dtype.kind == "b":
            allowed = given
        else:
            scores = scores + given
    if causal:
        order = expand_dims(arange(axis_size(query, -2)), 1) >= arange(axis_size(key, -2))
        allowed = order if allowed is None else allowed & order
    if allowed is None:
        return softmax(scores) @ value
    seen = allowed | logical_not(any(allowed, axis=-1, keepdims=True))  # no row without a source
    return where(allowed, softmax(where(seen, scores, -math.inf)), 0) @ value


@explained
def embedding(indices: Operand, table: Operand) -> Node:
    """Return the rows of a table at integer indices.

    Parameters
    ----------
    indices : integer node or array
    table : node or array of shape (rows, ...)

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.embedding([1, 1, 0], sm.constant([[1.0, 2.0], [3.0, 4.0]])).eval()
    array([[3., 4.],
           [3., 4.],
           [1., 2.]])
    """
    return take(table, indices, axis=0)


@explained
def dropout(key: Node, x: Operand, rate: Operand = 0.5) -> Node:
    """Return ``x`` with elements set to 0 with probability ``rate``, the others over 1 - ``rate``.

    Parameters
    ----------
    key : node
        Of ``sm.random``; another one for each step.
    x : node or array
        The number of its axes must be known.
    rate : number or node
        From 0 to 1; a node may be 0 to switch dropout off.

    Raises
    ------
    GraphTypeError
        If the rate is a number outside [0, 1].
    ShapeError
        If the number of axes of ``x`` is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.dropout(sm.random.key(0), sm.constant([1.0, 2.0, 3.0, 4.0])).eval()
    array([2., 4., 0., 0.])
    """
    x = floating(x)
    with reporting("dropout", x):
        if not isinstance(rate, Node) and not 0 <= rate <= 1:  # type: ignore[operator]
            raise GraphTypeError(f"a rate of dropout is between 0 and 1, not {rate!r}")
        sizes = shape_of(x)
        if isinstance(sizes, Node):
            raise ShapeError("the number of axes must be known", remedy="Declare a shape.")
    kept = cast(1 - as_node(rate), x.dtype)
    result: Node = where(uniform(key, sizes, x.dtype) < kept, x / kept, 0)
    return result
