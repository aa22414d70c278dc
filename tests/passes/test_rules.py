"""Every rewrite rule three ways: the graph it makes, the numbers, and random graphs made of all.

The tests are generated from the rules themselves; the testers are tested with rules that are wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mpmath
import numpy as np
import pytest

import symad as sm
from symad import records
from symad.graph.graph import verify
from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import Creation, Role, RoleKind, creating
from symad.ops.base import as_node
from symad.passes.decompose import DECOMPOSE
from symad.passes.grade import Grade
from symad.passes.rewrite import Rewriting, RuleSet, rewrite
from symad.passes.rule import Procedure, Rule, fit
from symad.passes.rules import all_rules
from symad.passes.rules.stabilise import STABILISE
from symad.runtime.pipeline import optimise
from symad.testing import assert_graphs_equal
from tests.support.op_checks import kernel_of

Array = np.ndarray[Any, Any]

SPECIAL = (0.0, -0.0, 1.0, -1.0, 2.5, np.inf, -np.inf, np.nan)
EXTREME = (*SPECIAL, 1e300, -1e308, 1e-300, -5e-324, 3e38, -1e-45)
DRAWS = 40

NAN_BESIDE_NAN = {
    "softmax", "softmax of all", "logsumexp slope", "logsumexp slope of all",
    "logsumexp slope of lines",
}  # fmt: skip
"""Rules that make a row NaN which holds +inf: the formula gives NaN for that element alone."""


NAN_BECOMES_TRUE = {rule.name for rule in STABILISE}
"""Rules for formulas that are NaN where a step overflows, which at infinity itself is inf / inf."""


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


RULES = (*all_rules(), *DECOMPOSE)
"""Those of the pipeline, and those before loops are fused."""
EXAMPLES = [example for rule in RULES for example in examples_of(rule)]


def each_example(*grades: Grade) -> Any:
    found = [example for example in EXAMPLES if example.rule.grade in (grades or Grade)]
    return pytest.mark.parametrize("example", found, ids=[example.label for example in found])


LONG = {
    name: np.vectorize(lambda x, f=f: np.longdouble(mpmath.nstr(f(mpmath.mpf(float(x))), 25)))
    for name, f in (("erf", mpmath.erf), ("erfc", mpmath.erfc))
}
"""SciPy's functions, for long doubles that hold doubles."""


def evaluate(graph: sm.Graph, arrays: Sequence[Any]) -> list[Any]:
    """Return the outputs, with each op computed in the precision of its operands."""
    values: dict[Node, Any] = dict(zip(graph.inputs, arrays, strict=True))
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            if isinstance(node, Constant):
                values.setdefault(node, node.value[()])
            elif node not in values:
                assert node.op is not None
                given = [values[source] for source in node.inputs]
                is_long = any(np.asarray(x).dtype == np.longdouble for x in given)
                kernel = LONG.get(node.op.name) if is_long else None
                values[node] = (kernel or kernel_of(node.op))(*given)
    return [values[node] for node in graph.outputs]


def applied(example: Example) -> tuple[sm.Graph, int]:
    """Return the graph with the rule applied, and how often it was."""
    seen: list[Rewriting] = []
    result = rewrite(example.graph, [example.rule], seen.append)
    return result, sum(rewriting.rule is example.rule for rewriting in seen)  # others share nodes


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
    # Sums may cancel: errors are relative to the numbers that went in.
    least = min(1.0, np.max(np.abs(getattr(example.rule, "domain", 1.0))))
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
        size = max(np.max(np.abs(truth)), least)
        room = np.maximum(8 * unit * size, np.abs(old - truth))
        error = np.abs(got - truth)
        assert np.all(error <= room), f"{example.rule.name}: {float(np.max(error / unit))} units"


@each_example(Grade.ROUNDING, Grade.FINITE)
def test_other_rules_are_right_up_to_rounding(example: Example) -> None:
    check_rounding(example)


def check_special(example: Example) -> None:
    """What is finite, infinite or NaN stays so, but for rules that are there to change a NaN."""
    new, _ = applied(example)
    rng = np.random.default_rng(13)
    for _ in range(DRAWS):
        arrays = draw(example, rng, SPECIAL)
        (old,), (got,) = evaluate(example.graph, arrays), evaluate(new, arrays)
        old, got = np.broadcast_arrays(old, got)
        same = np.isclose(got, old, rtol=1e-5, atol=1e-6, equal_nan=True)
        if example.rule.name in NAN_BECOMES_TRUE:
            same |= np.isnan(old)
        if example.rule.name in NAN_BESIDE_NAN:
            same |= np.isnan(old).any() & np.isnan(got)
        assert np.all(same), f"{example.rule.name}\n{arrays}\n{old}\n{got}"


@each_example(Grade.ROUNDING)
def test_rounding_rules_hold_at_infinities_and_zeros(example: Example) -> None:
    if example.variables[0].dtype.kind == "f":
        check_special(example)
    else:
        check_rounding(example)


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_says_what_it_does(rule: Rule | Procedure) -> None:
    left, equals, right = rule.equation.partition(" = ")
    assert left and equals and right


def test_ops_that_a_pattern_names_are_ops_that_it_needs() -> None:
    assert all(rule.named <= rule.needs for rule in all_rules())
    assert sum(bool(rule.named) for rule in all_rules()) > 100


def test_patterns_are_built_for_graphs_with_the_ops_that_they_name() -> None:
    unbuilt = [rule for rule in all_rules() if isinstance(rule, Rule)]
    rules = [records.replace(rule) for rule in unbuilt]
    known = RuleSet(rules)
    x = sm.Variable("x", shape=())
    rewrite(sm.Graph([sm.sin(x) * x + x]), known)
    assert not any("tree" in vars(rule) for rule in rules if rule.named - {type(sm.sin)})
    y = sm.Graph([sm.log(1 + sm.exp(x))])
    assert [node.label for node in rewrite(y, known).nodes] == ["x", "softplus"]


def test_names_are_unique() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)


# Provenance


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_new_nodes_come_from_where_the_old_ones_came(rule: Rule | Procedure) -> None:
    """The driver hands on scope, line and role; rules know nothing of these."""
    x = sm.Variable("x", shape=())
    role = Role(RoleKind.PARTIAL, 1, x, sm.sin(x), 0)
    site = x.site
    with creating(Creation(("part", "inner"), site, role)):
        examples = list(examples_of(rule))
    for example in examples:
        old = set(example.graph.nodes)
        new = applied(example)[0]
        made = [node for node in new.nodes if node not in old]
        assert made or new.outputs[0] in old
        for node in made:
            assert (node.scope, node.site, node.role) == (("part", "inner"), site, role), node


# Operands that broadcast

BROADCASTABLE = ((), (3,), (1, 3), (2, 1), (2, 3), (4, 1, 3))


def check_broadcast(rule: Rule, seed: int) -> int:
    """Whatever shapes the operands have, the rule keeps type and value, or does not apply."""
    rng = np.random.default_rng(seed)
    variables, values = instantiate(rule, "float64")
    for i, x in enumerate(variables):
        shape = BROADCASTABLE[rng.integers(len(BROADCASTABLE))]
        variables[i] = Variable(x.name or "", shape, x.dtype)
        given = rule.example.get(x.name or "")
        values[x.name or ""] = given(variables[i]) if callable(given) else variables[i]
    try:
        root = rule.pattern(**values)
    except sm.SymadError:
        return 0
    example = Example(rule, tuple(variables), root, "")
    new, uses = applied(example)
    assert new.outputs[0].type == root.type
    verify(new)
    arrays = draw(example, rng, None)
    (old,), (got,) = evaluate(example.graph, arrays), evaluate(new, arrays)
    np.testing.assert_allclose(got, old, rtol=1e-12, atol=1e-12 * np.max(np.abs(old), initial=1.0))
    assert np.shape(got) == np.shape(old)
    return uses


OF_THEIR_OWN = {
    "not not", "and itself", "or itself",  # booleans
    "cast twice",  # rounds to float32
    "number on a left operand", "number on a right operand",  # see below
    "scalar on a left operand", "scalar on a right operand",
}  # fmt: skip
PATTERNS = [r for r in all_rules() if isinstance(r, Rule) and r.name not in OF_THEIR_OWN]


@pytest.mark.parametrize("rule", PATTERNS, ids=[rule.name for rule in PATTERNS])
def test_operands_may_broadcast(rule: Rule) -> None:
    uses = sum(check_broadcast(rule, seed) for seed in range(25))
    seed = 25
    while not uses and seed < 2000:  # of five operands, the shapes seldom fit together
        uses, seed = check_broadcast(rule, seed), seed + 1
    assert uses


SHAPES_OF_PRODUCTS = (((5, 2, 4), (4, 3)), ((4,), (4,)), ((2, 4), (4,)), ((5, 2, 4), (5, 4, 1)))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("shapes", SHAPES_OF_PRODUCTS)
def test_the_factor_of_a_product_of_any_ranks(side: str, shapes: Any) -> None:
    """The shapes above seldom fit together as matrices."""
    rule = next(rule for rule in all_rules() if rule.name == f"scalar on a {side} operand")
    c = sm.Variable("c", shape=())
    if side == "left":
        x, y = (sm.Variable(name, shape) for name, shape in zip("xy", shapes, strict=True))
        root = (c * x) @ y
    else:
        y, x = (
            sm.Variable(n, shape[:-2] + shape[-2:][::-1])
            for n, shape in zip("yx", shapes, strict=True)
        )
        root = x @ (c * y)
    example = Example(rule, (c, x, y), root, "")  # type: ignore[arg-type]
    assert applied(example)[1] == 1
    check_rounding(example)


# The testers are tested: each of these rules is wrong, and one check finds it


def example_of(rule: Rule) -> Example:
    return next(examples_of(rule))


def is_caught(check: Callable[[Example], None], rule: Rule) -> bool:
    try:
        check(example_of(rule))
    except AssertionError:
        return True
    return False


def test_wrong_numbers_are_caught() -> None:
    assert is_caught(check_rounding, Rule("a", lambda x: x + x, lambda x: x * 2.001))
    assert is_caught(check_rounding, Rule("b", lambda x: sm.expm1(x), lambda x: sm.exp(x) - 1,
                                          domain=(1e-9, 1e-8)))  # fmt: skip
    assert not is_caught(check_rounding, Rule("c", lambda x: x + x, lambda x: x * 2))


def test_wrong_bits_are_caught() -> None:
    exact = Grade.EXACT
    assert is_caught(check_exact, Rule("a", lambda x: x + 0, lambda x: x, exact))
    assert is_caught(check_exact, Rule("b", lambda x: x / 3, lambda x: x * (1 / 3), exact))
    assert is_caught(check_exact, Rule("c", lambda x: sm.sqrt(x * x), lambda x: abs(x), exact))
    assert not is_caught(check_exact, Rule("d", lambda x: x - 0, lambda x: x, exact))


def test_wrong_infinities_are_caught() -> None:
    assert is_caught(check_special, Rule("a", lambda x: x * 0, lambda x: Constant(0.0)))
    assert is_caught(check_special, Rule("b", lambda x: sm.exp(sm.log(x)), lambda x: x))
    assert is_caught(check_special, Rule("c", lambda x: 1 / x, lambda x: sm.reciprocal(abs(x))))
    assert is_caught(check_special, Rule("d", lambda x, y: sm.log(sm.exp(x) * y),
                                         lambda x, y: x + sm.log(y)))  # fmt: skip


def test_wrong_graphs_are_caught() -> None:
    idle = Rule("idle", lambda x: x * 2, lambda x: x + x, where=lambda x: False)
    endless = Rule("endless", lambda x: sm.tan(x), lambda x: sm.tan(sm.atan(x)))
    assert is_caught(check_graph, idle)
    assert is_caught(check_graph, endless)


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x / x, lambda x: x - x, lambda x: x * 0.0, lambda x: sm.exp(sm.log(x)),
        lambda x: sm.square(sm.sqrt(x)), lambda x: x**0.5, lambda x: x / 2.5 * 2.5,
    ],
)  # fmt: skip
def test_what_holds_in_the_domain_only_is_left_alone(write: Callable[[Node], Node]) -> None:
    x = sm.Variable("x", shape=(3,))
    graph = rewrite(sm.Graph([write(x)], [x]), [])
    assert len(optimise(graph).graph) == len(graph)
    assert len(optimise(graph, Grade.FINITE).graph) <= len(graph)
    pool = np.array([np.inf, 0.0, -1.0])
    np.testing.assert_array_equal(
        evaluate(optimise(graph).graph, [pool])[0], evaluate(graph, [pool])[0]
    )


def test_a_wildcard_stands_for_one_node() -> None:
    rule = Rule("square", lambda x: x * x, lambda x: sm.square(x))
    x, y = sm.Variable("x", shape=()), sm.Variable("y", shape=())
    assert rule.apply(x * y) is None
    assert rule.apply(x * x) is not None


def test_less_precise_operands_are_not_computed_with() -> None:
    """A float32 beside a float64: log1p of the float32 would be rounded to it."""
    x = sm.Variable("x", shape=(), dtype="float32")
    y = sm.log(x + sm.constant(1.0))
    assert str(y.dtype) == "float64"
    assert "log1p" not in str(optimise(sm.Graph([y], [x])).graph)
    assert "log1p" in str(optimise(sm.Graph([sm.log(x + 1)], [x])).graph)


def test_a_commutative_pattern_matches_in_either_order() -> None:
    x, v = sm.Variable("x", shape=()), sm.Variable("v", shape=())
    e = sm.exp(x)
    for y in (v / (1 + e) * e, e * (v / (e + 1))):
        assert "sigmoid" in str(optimise(sm.Graph([y], [v, x])).graph)
