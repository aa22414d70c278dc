"""The adjoint of an array that is read in many places is written into one array.

Each ``x[k]`` leaves an array of the size of ``x`` among the partial adjoints of ``x``, which is
zero outside of ``k``.
"""

from __future__ import annotations

from itertools import chain

from symad.graph.node import Node, apply
from symad.ops.adjoint import AddN, add_n
from symad.ops.index import ScatterAdd, ScatterSum, scatter_add
from symad.ops.subscript import Key
from symad.passes.grade import Grade
from symad.passes.rule import AnyRule, Procedure

_Place = tuple[Key, tuple[Node, ...]]
"""A key and its integer inputs."""


def _sum_of_scatters(node: Node) -> Node | None:
    """Return the sum with all scattered terms in one; values for the same place are added first."""
    values: dict[_Place, list[Node]] = {}
    others, like = [], None
    for term in node.inputs:
        if isinstance(term.op, ScatterAdd) and term.type == node.type:
            value, like, *indices = term.inputs
            values.setdefault((term.op.key, tuple(indices)), []).append(value)
        else:
            others.append(term)
    if like is None or len(node.inputs) - len(others) < 2:
        return None
    return _total([*others, _scattered(values, like)])


def _scattered(values: dict[_Place, list[Node]], like: Node) -> Node:
    keys, given = zip(*values, strict=True)
    totals = map(_total, values.values())
    op = ScatterSum(keys) if len(keys) > 1 else ScatterAdd(keys[0])
    return apply(op, *totals, like, *chain.from_iterable(given))


def _total(terms: list[Node]) -> Node:
    return terms[0] if len(terms) == 1 else add_n(terms)


SCATTERS: tuple[AnyRule, ...] = (
    Procedure(
        "sum of scatters", _sum_of_scatters,
        "scatter_add(u, x, j) + scatter_add(v, x, k) = scatter_sum(u, v, x, [j, k])", (AddN,),
        (
            lambda u, v, w, x: add_n(
                [scatter_add(u, x, 0), scatter_add(v, x, 1), scatter_add(w, x, 0), x]
            ),
            lambda v, x: add_n([scatter_add(v, x, [1, 1]), scatter_add(x[1:], x, slice(1, None))]),
            lambda v, w, x: add_n([scatter_add(v, x, 1), scatter_add(w, x, 1)]),
        ),
        {"u": (3,), "v": (3,), "w": (3,)},
        grade=Grade.ROUNDING, needs=frozenset({ScatterAdd}),
    ),
)  # fmt: skip
