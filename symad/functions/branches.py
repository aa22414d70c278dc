"""Branches: functions that trace all branches, and make one node that runs the one chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symad.errors import GraphTypeError
from symad.functions.loops import form_of
from symad.graph.nested import leaves_with_paths
from symad.graph.node import Node, apply, reporting
from symad.graph.provenance import isolated, tracing
from symad.ops.adjoint import cast
from symad.ops.base import as_node, register, tensor_types
from symad.ops.body import called, close_together, placeholder, results_of
from symad.ops.branch import Branch, fits
from symad.ops.loops import require_predicate
from symad.ops.structure import flat_nodes, nest

_NUMBERS = (bool, int, float)


@register
def cond(
    predicate: Any, if_true: Callable[..., Any], if_false: Callable[..., Any], *operands: Any
) -> Any:
    """Return what one of two functions returns; only that one is computed.

    Parameters
    ----------
    predicate : Node or bool
        One truth value.
    if_true, if_false : callable
        They take the operands and return a node or a nested structure of nodes; both the same
        structure, shapes and dtypes.  They may use other nodes and make derivatives.
    *operands : Node or nested structure of nodes, arrays and numbers

    Returns
    -------
    Node or nested structure

    Raises
    ------
    GraphTypeError
        If the predicate is not one truth value, or the results differ in structure, shape or dtype.

    See Also
    --------
    where : Choose element by element; both values are computed.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> y = sm.cond(x > 0, sm.log, lambda x: x * 2, x)
    >>> f = sm.compile([x], [y, sm.gradients(y, x)])
    >>> f(1.0), f(-1.0)
    ([np.float64(0.0), np.float64(1.0)], [np.float64(-2.0), np.float64(2.0)])
    """
    node = as_node(predicate)
    with reporting("cond", node):
        require_predicate(node.type)
    return _branch(cast(node, "int64"), [if_false, if_true], operands, ["if_false", "if_true"])


@register
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Return what the function at ``index`` returns; only that one is computed.

    Parameters
    ----------
    index : Node or int
        One integer; a call with one out of range is an error.
    branches : sequence of callable
        They take the operands and return a node or a nested structure of nodes; all the same
        structure, shapes and dtypes.
    *operands : Node or nested structure of nodes, arrays and numbers

    Returns
    -------
    Node or nested structure

    Raises
    ------
    GraphTypeError
        If the index is not one integer, or the results differ in structure, shape or dtype.

    Examples
    --------
    >>> import symad as sm
    >>> x, k = sm.Variable("x", shape=()), sm.Variable("k", shape=(), dtype="int64")
    >>> y = sm.switch(k, [sm.sin, sm.exp, lambda x: x * x], x)
    >>> sm.compile([x, k], [y, sm.gradients(y, x)])(3.0, 2)
    [np.float64(9.0), np.float64(6.0)]
    """
    node = as_node(index)
    (type_,) = tensor_types(node.type)
    if type_.dtype.kind not in "iu" or type_.ndim not in (0, None):
        raise GraphTypeError(
            f"switch: the index is {type_}; it must be one integer",
            remedy='Declare it: sm.Variable("k", shape=(), dtype="int64").',
        )
    if not branches:
        raise GraphTypeError("switch needs at least one branch")
    names = [f"branch {k}" for k in range(len(branches))]
    return _branch(cast(node, "int64"), branches, operands, names)


@isolated
def _branch(
    index: Node,
    branches: Sequence[Callable[..., Any]],
    operands: Sequence[Any],
    names: Sequence[str],
) -> Any:
    given = flat_nodes(operands)
    traced = []
    for branch, name in zip(branches, names, strict=True):
        arguments = [placeholder(node) for node in given]
        with tracing() as made:
            result = called(name, branch, *nest(tuple(operands), iter(arguments)))
        traced.append((result, arguments, made))
    results = [result for result, *_ in traced]
    flat = _alike(results, names)
    parts = zip(flat, traced, strict=True)
    graphs, captured = close_together([(nodes, inner, made) for nodes, (_, inner, made) in parts])
    chosen = results_of(apply(Branch(tuple(graphs)), index, *given, *captured))
    return nest(results[0], iter(chosen))


def _alike(results: Sequence[Any], names: Sequence[str]) -> list[list[Node]]:
    """Return the tensors in the results of branches, which must have the same structure and types.

    A Python number takes the dtype that the others have in its place.
    """
    paths = [[path for path, _ in leaves_with_paths(result)] for result in results]
    for found, name in zip(paths, names, strict=True):
        if found != paths[0]:
            raise GraphTypeError(
                f"the results have different structures: {form_of(paths[0], 'r')} in {names[0]}, "
                f"and {form_of(found, 'r')} in {name}"
            )
    rows = [list(leaves_with_paths(result)) for result in results]
    columns = [_same_types(column, names) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*[c for column in columns for c in column], strict=True)]


def _same_types(
    column: Sequence[tuple[str, Any]], names: Sequence[str]
) -> list[tuple[Node, ...]]:
    """Return the tensors at one place of all results, as rows of one tensor of each."""
    path, leaves = column[0][0], [leaf for _, leaf in column]
    strong = [leaf for leaf in leaves if leaf is not None and not isinstance(leaf, _NUMBERS)]
    like = as_node(strong[0]) if strong else None
    nodes = [
        flat_nodes(as_node(leaf, like) if isinstance(leaf, _NUMBERS) else leaf) for leaf in leaves
    ]
    if len({len(found) for found in nodes}) > 1:
        raise GraphTypeError(f"the results{path} have different structures")
    for found in zip(*nodes, strict=True):
        for node, name in zip(found, names, strict=True):
            if not fits(found[0].type, node.type):
                raise GraphTypeError(
                    f"the results{path} differ: {found[0].type} in {names[0]}, "
                    f"{node.type} in {name}",
                    where=node.site.describe(),
                    remedy="All branches must return the same shapes and dtypes.",
                )
    return list(zip(*nodes, strict=True))
