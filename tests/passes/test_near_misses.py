"""What a rule nearly applies to: its examples with one thing changed.

An operand becomes another one, an op, a number or an axis another.  Many rules then still apply,
rightly; wherever one does, the values are what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import pytest

import symad as sm
from symad.graph.graph import verify
from symad.graph.node import Constant, Node, Variable, apply
from symad.graph.op import OP_CLASSES
from symad.passes.grade import Grade
from symad.passes.rewrite import Rewriting, rewrite
from symad.types import TensorType
from tests.passes.test_rules import (
    NAN_BECOMES_TRUE,
    NAN_BESIDE_NAN,
    RULES,
    SPECIAL,
    Example,
    draw,
    evaluate,
    examples_of,
)  # fmt: skip

OTHERS = (
    ("exp", "sinh", "negative", "square", "sqrt", "log", "sigmoid", "tanh", "cosh", "abs"),
    ("add", "subtract", "multiply", "divide", "maximum", "power"),
    ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
    ("logical_and", "logical_or", "logical_xor"),
    ("sum", "max", "min", "mean", "logsumexp"),
    ("softmax", "log_softmax", "flip", "cumulative_sum"),
)
"""Ops that take the same attributes and operands."""
NEXT = {a: b for names in OTHERS for a, b in zip(names, names[1:] + names[:1], strict=True)}


def near_misses(graph: sm.Graph) -> Iterator[tuple[str, sm.Graph]]:
    """Yield a text and a graph for each change of one node."""
    for place, node in enumerate(graph.nodes):
        for text, change in changes_of(node):
            try:
                yield f"%{place} {text}", exchanged(graph, node, change())
            except (sm.SymadError, TypeError, ValueError, IndexError):
                pass  # the op has no such attribute, or the others do not fit to it


def changes_of(node: Node) -> Iterator[tuple[str, Callable[[], Node]]]:
    op = node.op
    if isinstance(node, Constant):
        x = node.value
        for value in [~x] if x.dtype == bool else [x / 2 if x.dtype.kind == "f" else 2 * x, x + 1]:
            yield f"is {value}", partial(Constant, value, node.dtype)
    if op is None or not isinstance(node.type, TensorType):
        return
    yield "is given", partial(Variable, "given", node.type.shape, node.type.dtype)
    if op.name in NEXT:
        other = OP_CLASSES[NEXT[op.name]]
        yield f"is {other.name}", lambda: apply(other(**op.attributes()), *node.inputs)
    tensors = (x for x in enumerate(node.inputs) if isinstance(x[1].type, TensorType))
    for slot, source in tensors:
        yield f"takes another operand {slot}", partial(_with_other, node, slot, source)
    for name, value in op.attributes().items():
        for new in other_values(value):
            yield f"has {name} {new}", partial(_with, node, name, new)


def _with(node: Node, name: str, value: Any) -> Node:
    assert node.op is not None
    return apply(node.op.with_attributes(**{name: value}), *node.inputs)


def _with_other(node: Node, slot: int, source: Node) -> Node:
    assert node.op is not None
    other = Variable("other", source.type.shape, source.dtype)  # type: ignore[union-attr]
    return apply(node.op, *node.inputs[:slot], other, *node.inputs[slot + 1 :])


def other_values(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, tuple) and all(type(item) is int for item in value):
        yield from (value[::-1], value[1:] + value[:1])


def exchanged(graph: sm.Graph, old: Node, new: Node) -> sm.Graph:
    """Return the graph with another node in place of one; the types of the others may change."""
    sources = (new, *new.inputs)
    fresh = [x for x in sources if isinstance(x, Variable) and x not in graph.inputs]
    made = {node: node for node in graph.nodes if node.op is None} | {old: new}
    for node in graph.nodes:
        if node not in made and node.op is not None:
            inputs = [made[source] for source in node.inputs]
            is_same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
            made[node] = node if is_same else apply(node.op, *inputs)
    return sm.Graph([made[node] for node in graph.outputs], (*graph.inputs, *fresh))


def check(example: Example) -> None:
    """A rule needs the ops that it names; what it makes of a near miss has its type and values.

    The example stands before the near miss: until what it needs is met, no rule is tried.
    """
    rule = example.rule
    for text, graph in near_misses(example.graph):
        seen: list[Rewriting] = []
        both = sm.Graph([example.root, *graph.outputs], graph.inputs)
        new = rewrite(both, [rule], seen.append)
        for old in [rewriting.old for rewriting in seen if rewriting.rule is rule]:
            within = sm.Graph([old])
            assert all(map(within.has, rule.needs)), f"{rule.name}: {text} in\n{example.graph}"
        root = new.outputs[1]
        if root is not graph.outputs[0]:
            assert root.type == graph.outputs[0].type, f"{rule.name}: {text} in\n{example.graph}"
            made = sm.Graph([root], graph.inputs)
            verify(made)
            check_values(example, text, graph, made)


def check_values(example: Example, text: str, graph: sm.Graph, made: sm.Graph) -> None:
    rng, name = np.random.default_rng(17), example.rule.name
    variables = cast("tuple[Variable, ...]", graph.inputs)
    is_for_all = example.rule.grade in (Grade.EXACT, Grade.ROUNDING)
    for pool in (None, None, None, *[SPECIAL] * 4 * is_for_all):
        arrays = draw(replace(example, variables=variables), rng, pool)
        try:
            (old,) = evaluate(graph, arrays)
        except IndexError:  # the change is one of an index
            return
        (got,) = evaluate(made, arrays)
        old, got = np.broadcast_arrays(old, got)
        same = np.isclose(got, old, rtol=1e-6, atol=1e-6, equal_nan=True)
        if pool is not None and name in NAN_BECOMES_TRUE:
            same |= np.isnan(old)
        if pool is not None and name in NAN_BESIDE_NAN:
            same |= np.isnan(old).any() & np.isnan(got)
        assert np.all(same), f"{name}: {text}\n{arrays}\n{graph}\n{made}"


CHECKED = [rule for rule in RULES if rule.name != "share of a sum"]
"""That one takes what it finds subtracted for a maximum, as it is where it comes from."""


@pytest.mark.parametrize("rule", CHECKED, ids=[rule.name for rule in CHECKED])
def test_near_misses_keep_their_values(rule: Any) -> None:
    for example in examples_of(rule):
        if all(x.dtype != np.float32 for x in example.variables):
            check(example)
