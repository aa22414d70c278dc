"""Every rewrite rule three ways: the graph it makes, the numbers, and random graphs made of all.

The tests are generated from the rules themselves; the testers are tested with rules that are wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from op_checks import kernel_of

import symad as sm
from symad.graph.graph import verify
from symad.graph.node import Constant, Node, Variable
from symad.ops.base import as_node
from symad.passes.pipeline import all_rules
from symad.passes.rewrite import rewrite
from symad.passes.rule import Grade, Procedure, Rule, fit
from symad.testing import assert_graphs_equal

Array = np.ndarray[Any, Any]

SPECIAL = (0.0, -0.0, 1.0, -1.0, 2.5, np.inf, -np.inf, np.nan)
EXTREME = (*SPECIAL, 1e300, -1e308, 1e-300, -5e-324, 3e38, -1e-45)
DRAWS = 40

NAN_BESIDE_NAN = {
    "softmax", "softmax of all", "logsumexp slope", "logsumexp slope of all",
    "logsumexp slope of lines",
}  # fmt: skip
"""Rules that make a row NaN which holds +inf: the formula gives NaN for that element alone."""


@dataclass(frozen=True)
class Example:
    """An expression to which a rule applies."""

    rule: Rule | Procedure
    variables: tuple[Variable, ...]
    root: Node
    label: str
    expected: Node | None = None
    """What a pattern's replacement makes of the same operands."""

    @property
    def graph(self) -> sm.Graph:
        return sm.Graph([self.root], self.variables)


def examples_of(rule: Rule | Procedure) -> Iterator[Example]:
    """Yield expressions for a rule, from its own pattern or examples, in all its dtypes."""
    if isinstance(rule, Procedure):
        for i, make in enumerate(rule.examples):
            for dtype in ("float64", "float32"):
                names = make.__code__.co_varnames[: make.__code__.co_argcount]
                shapes = [rule.shapes.get(name, (2, 3)) for name in names]
                xs = [Variable(n, s, dtype) for n, s in zip(names, shapes, strict=True)]
                yield Example(rule, tuple(xs), make(*xs), f"{rule.name}-{i}-{dtype}")
        return
    dtypes = ["float64", "float32"] if "f" in rule.kinds else []
    dtypes += ["int64", "int8"] * ("i" in rule.kinds and rule.name not in FLOATING_ONLY)
    for dtype in dtypes:
        variables, values = instantiate(rule, dtype)
        root = rule.pattern(**values)
        names = inspect.signature(rule.replacement).parameters
        new = as_node(rule.replacement(*[values[name] for name in names]), like=root)
        expected = fit(new, root, convert=True)
        yield Example(rule, tuple(variables), root, f"{rule.name}-{dtype}", expected)


FLOATING_ONLY = {"over one", "power -1", "cast to itself", "cast twice"}
"""Of integers these are something else, or their example is for floats."""


def instantiate(rule: Rule, dtype: str) -> tuple[list[Variable], dict[str, Any]]:
    """Return variables, and what the wildcards of a pattern stand for."""
    variables: list[Variable] = []
    values: dict[str, Any] = {}
    for name in rule.wildcards:
        given = rule.example.get(name, (2, 3))
        if name in rule.attributes:
            values[name] = given
        elif isinstance(given, float):
            values[name] = Constant(given, dtype)
        else:
            shape = given if isinstance(given, tuple) else (2, 3)
            variables.append(Variable(name, shape, "bool" if name in rule.masks else dtype))
            values[name] = given(variables[-1]) if callable(given) else variables[-1]
    if rule.name == "cast to itself":
        values["dtype"] = np.dtype(dtype)
    return variables, values


EXAMPLES = [example for rule in all_rules() for example in examples_of(rule)]


def each_example(*grades: Grade) -> Any:
    found = [example for example in EXAMPLES if example.rule.grade in (grades or Grade)]
    return pytest.mark.parametrize("example", found, ids=[example.label for example in found])


def evaluate(graph: sm.Graph, arrays: Sequence[Any]) -> list[Any]:
    """Return the outputs, with each op computed in the precision of its operands."""
    values: dict[Node, Any] = dict(zip(graph.inputs, arrays, strict=True))
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            if isinstance(node, Constant):
                values.setdefault(node, node.value[()])
            elif node not in values:
                assert node.op is not None
                values[node] = kernel_of(node.op)(*[values[source] for source in node.inputs])
    return [values[node] for node in graph.outputs]


def applied(example: Example) -> tuple[sm.Graph, int]:
    """Return the graph with the rule applied, and how often it was."""
    uses: list[Any] = []
    result = rewrite(example.graph, [example.rule], uses.append)
    return result, len(uses)


# 1. The graph


def check_graph(example: Example) -> None:
    """The rule applies, in the same type, and makes the replacement."""
    got, uses = applied(example)
    assert uses, f"{example.rule.name} does not apply to\n{example.graph}"
    verify(got)
    assert got.inputs == example.graph.inputs
    assert got.outputs[0].type == example.root.type
    again, uses = applied(replace(example, root=got.outputs[0], variables=got.inputs))
    assert uses == 0, f"{example.rule.name} applies to its own result\n{got}"
    if example.expected is not None:
        wanted = sm.Graph([example.expected], example.variables)
        assert_graphs_equal(got, rewrite(wanted, [example.rule]))


@each_example()
def test_makes_the_replacement(example: Example) -> None:
    check_graph(example)


# 2. The numbers


def draw(example: Example, rng: np.random.Generator, pool: Sequence[float] | None) -> list[Array]:
    """Return values for the variables: from an interval, or from a pool of numbers."""
    low, high = getattr(example.rule, "domain", (-3.0, 3.0))
    arrays = []
    for x in example.variables:
        shape = x.type.shape
        if x.dtype.kind == "b":
            arrays.append(rng.integers(0, 2, shape).astype(bool))
        elif x.dtype.kind in "iu":
            limits = np.iinfo(x.dtype)
            arrays.append(rng.integers(limits.min, limits.max, shape, x.dtype, endpoint=True))
        elif pool is None:
            arrays.append(np.asarray(rng.uniform(low, high, shape)).astype(x.dtype))
        else:
            with np.errstate(all="ignore"):
                arrays.append(np.asarray(rng.choice(pool, shape)).astype(x.dtype))
    return arrays


def check_exact(example: Example) -> None:
    """Both sides are bitwise equal: on random numbers, and on infinities, NaN, zeros, extremes."""
    new, _ = applied(example)
    rng = np.random.default_rng(7)
    for i in range(DRAWS):
        arrays = draw(example, rng, EXTREME if i % 2 else None)
        for a, b in zip(_tensors(example.graph, arrays), _tensors(new, arrays), strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_array_equal(_bits(a), _bits(b), str((example.rule.name, arrays)))


def _tensors(graph: sm.Graph, arrays: Sequence[Array]) -> list[Array]:
    return [np.asarray(leaf) for leaf in sm.graph.nested.leaves(evaluate(graph, arrays))]


def _bits(value: Array) -> Array:
    """Return an array as integers, all NaNs the same."""
    if value.dtype.kind != "f":
        return value
    value = np.where(np.isnan(value), np.array(np.nan, value.dtype), value)
    return np.ascontiguousarray(value).view(f"i{value.dtype.itemsize}")


@each_example(Grade.EXACT)
def test_exact_rules_keep_every_bit(example: Example) -> None:
    check_exact(example)


def check_rounding(example: Example) -> None:
    """The new side is within a few units of rounding of the truth, or no farther from it."""
    new, _ = applied(example)
    rng = np.random.default_rng(11)
    for _ in range(DRAWS):
        arrays = draw(example, rng, None)
        precise = [a.astype("longdouble") if a.dtype.kind == "f" else a for a in arrays]
        (truth,), (old,), (got,) = (
            evaluate(graph, values)
            for graph, values in ((example.graph, precise), (example.graph, arrays), (new, arrays))
        )
        assert np.asarray(got).dtype == np.asarray(old).dtype
        if np.asarray(got).dtype.kind != "f":
            np.testing.assert_array_equal(got, old)
            continue
        unit = np.finfo(np.asarray(got).dtype).eps
        room = np.maximum(8 * unit * max(1.0, float(np.max(np.abs(truth)))), np.abs(old - truth))
        error = np.abs(got - truth)
        assert np.all(error <= room), f"{example.rule.name}: {float(np.max(error / unit))} units"


@each_example(Grade.ROUNDING, Grade.FINITE)
def test_other_rules_are_right_up_to_rounding(example: Example) -> None:
    check_rounding(example)


def check_special(example: Example) -> None:
    """What is finite or infinite stays so; a NaN may become the true value."""
    new, _ = applied(example)
    rng = np.random.default_rng(13)
    for _ in range(DRAWS):
        arrays = draw(example, rng, SPECIAL)
        (old,), (got,) = evaluate(example.graph, arrays), evaluate(new, arrays)
        old, got = np.broadcast_arrays(old, got)
        same = np.isclose(got, old, rtol=1e-5, atol=1e-6, equal_nan=True) | np.isnan(old)
        if example.rule.name in NAN_BESIDE_NAN:
            same |= np.isnan(old).any() & np.isnan(got)
        assert np.all(same), f"{example.rule.name}\n{arrays}\n{old}\n{got}"


@each_example(Grade.ROUNDING)
def test_rounding_rules_hold_at_infinities_and_zeros(example: Example) -> None:
    if example.variables[0].dtype.kind == "f":
        check_special(example)
    else:
        check_rounding(example)


@pytest.mark.parametrize("rule", all_rules(), ids=[rule.name for rule in all_rules()])
def test_says_what_it_does(rule: Rule | Procedure) -> None:
    left, equals, right = rule.equation.partition(" = ")
    assert left and equals and right


def test_names_are_unique() -> None:
    names = [rule.name for rule in all_rules()]
    assert len(set(names)) == len(names)
