"""What must hold for every op on each of its samples; the op table and the tests of it use these.

Each check takes a :class:`Case` and raises an AssertionError (or the op's own error) if the op is
wrong; :func:`check_all` runs all of them.  Derivatives are probed along random directions: a wrong
rule escapes with probability 0.

Most of the time goes into compiling.  So graphs and values are kept while checks of one case follow
one another, and what is evaluated of a graph is compiled at once.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import symad as sm
from symad.backends.numpy import numpy_program
from symad.errors import GradientError, SymadError
from symad.graph.formula import format_term
from symad.graph.graph import verify
from symad.graph.nested import leaves
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.graph.sample import Sample
from symad.graph.traverse import topological_order
from symad.ops.adjoint import Cast
from symad.ops.body import WithBody
from symad.ops.loops import While
from symad.ops.structure import items_of
from symad.passes.specialise import specialise
from symad.plan.plan import make_plan
from symad.runtime.inputs import type_of
from symad.testing import assert_graphs_equal, check_gradients
from symad.types import SparseType, StructureType, TensorType, compatible_shapes

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Precision:
    """What can be asked of a graph whose least precise floating node has this dtype.

    Central differences err by ~eps^(2/3): well below ``difference``, which in float64 is far below
    a rule that is wrong by 0.1 %.  The dot test compares sums of the same few hundred products,
    rounded in another order.
    """

    difference: float
    dot: float


PRECISIONS = {
    "float64": Precision(difference=1e-6, dot=1e-12),
    "float32": Precision(difference=5e-3, dot=1e-5),
}


@dataclass(frozen=True, eq=False)
class Case:
    """One op on one of its samples."""

    op_class: type[Op]
    sample: Sample
    id: str

    def draw(self, dtype: str = "float64") -> tuple[Array, ...]:
        """Return the inputs: the same numbers for each dtype, as far as it can hold them."""
        rng = self.rng()
        return tuple(np.asarray(draw(rng, np.dtype(dtype))) for draw in self.sample.inputs)

    def rng(self) -> np.random.Generator:
        """Return a generator whose seed depends on the case alone."""
        return np.random.default_rng(zlib.crc32(self.id.encode()))


def cases_of(op_class: type[Op]) -> Iterator[Case]:
    """Yield the cases of an op; ids are its name, and the label where there is one."""
    for number, sample in enumerate(op_class.samples):
        label = sample.label or (str(number) if number else "")
        yield Case(op_class, sample, "-".join(filter(None, [op_class.name, label])))


KNOWLEDGE = ("static", "named", "unknown")
"""What variables declare: all sizes, names in place of sizes, or no shape at all."""

MIXED = "mixed"
"""Each variable declares something else."""


def declare(name: str, array: Array, knowledge: str) -> sm.Variable:
    """Return a variable for ``array`` that declares what ``knowledge`` says."""
    named = tuple(f"n{size}" for size in array.shape)
    shape = {"static": array.shape, "named": named, "unknown": None}[knowledge]
    return sm.Variable(name, shape, array.dtype)


@dataclass(frozen=True, eq=False)
class Built:
    """A case as a graph; ``outputs`` are the tensors in ``result`` one by one."""

    inputs: tuple[sm.Variable, ...]
    arrays: tuple[Array, ...]
    result: Any
    outputs: tuple[Node, ...]

    @cached_property
    def values(self) -> list[Any]:
        """The values of ``outputs``."""
        values: list[Any] = run(self.inputs, list(self.outputs), self.arrays)
        return values

    @cached_property
    def answers(self) -> list[Any]:
        """The tensors in the value of ``result``, and ``None`` for items that are absent."""
        return list(leaves(run(self.inputs, self.result, self.arrays)))

    @property
    def precision(self) -> Precision:
        """What can be asked of numbers: float64, unless the sample itself casts to less."""
        dtypes = {node.type.dtype for node in self.nodes if isinstance(node.type, TensorType)}
        return PRECISIONS["float32" if np.dtype("float32") in dtypes else "float64"]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that ops compute."""
        order = sm.Graph(self.outputs, self.inputs).nodes
        return tuple(node for node in order if node.op is not None)


@lru_cache(maxsize=64)
def build(case: Case, dtype: str = "float64", knowledge: str = "static") -> Built:
    """Return the graph that the sample makes of variables which declare what ``knowledge`` says."""
    arrays = case.draw(dtype)
    levels = _levels(case, len(arrays)) if knowledge == MIXED else [knowledge] * len(arrays)
    pairs = zip(arrays, levels, strict=True)
    inputs = tuple(declare(f"x{i}", array, level) for i, (array, level) in enumerate(pairs))
    result = case.sample.call(*inputs)
    nodes = [leaf for leaf in leaves(result) if isinstance(leaf, Node)]
    assert nodes, "the sample makes no node"
    return Built(inputs, arrays, result, tuple(item for node in nodes for item in items_of(node)))


def _levels(case: Case, count: int) -> list[str]:
    """Return what each of several variables declares: not all of them the same."""
    order = case.rng().permutation(KNOWLEDGE)
    return [str(order[k % len(order)]) for k in range(count)]


def run(inputs: Sequence[Node], nodes: Any, arrays: Sequence[Array]) -> Any:
    """Return the values of ``nodes``, a nested structure, for a feed of ``inputs``."""
    return sm.compile(list(inputs), nodes, backend="numpy")(*arrays)


# Derivatives


@dataclass(frozen=True, eq=False)
class Probe:
    """Derivatives of ``outputs`` by ``moving`` along random directions g and t, which are fed too.

    ``pulled`` is Jᵀg and ``pushed`` is Jt.
    """

    inputs: tuple[sm.Variable, ...]
    arrays: tuple[Array, ...]
    moving: tuple[sm.Variable, ...]
    outputs: tuple[Node, ...]
    cotangents: tuple[Array, ...]
    tangents: tuple[Array, ...]
    pulled: tuple[Node, ...]
    pushed: tuple[Node, ...]

    @cached_property
    def values(self) -> list[Array]:
        """The values of ``pulled`` and of ``pushed``, one after the other."""
        values: list[Array] = run(self.inputs, [*self.pulled, *self.pushed], self.arrays)
        return values


def probe_at(
    inputs: Sequence[sm.Variable],
    arrays: Sequence[Array],
    moving: Sequence[sm.Variable],
    outputs: Mapping[Node, Any],
    rng: np.random.Generator,
    knowledge: str,
) -> Probe:
    """Return the probe of ``outputs``, which have values, by ``moving``, all else held."""
    where = dict(zip(inputs, arrays, strict=True))
    cotangents = [_random_like(value, rng) for value in outputs.values()]
    tangents = [_random_like(where[x], rng) for x in moving]
    number = len(inputs)
    knowledge = "unknown" if knowledge == MIXED else knowledge
    seeds = [
        declare(f"s{number + i}", array, knowledge) for i, array in enumerate(cotangents + tangents)
    ]
    g, t = seeds[: len(cotangents)], seeds[len(cotangents) :]
    pulled = sm.pullback(list(outputs), list(moving), g)
    pushed = sm.pushforward(list(outputs), list(moving), t)
    return Probe(
        (*inputs, *seeds), (*arrays, *cotangents, *tangents), tuple(moving), tuple(outputs),
        tuple(cotangents), tuple(tangents), tuple(pulled), tuple(pushed),
    )  # fmt: skip


def _random_like(array: Any, rng: np.random.Generator) -> Array:
    """Return numbers of either sign, none near zero, so that each element has a say."""
    shape = np.shape(array)
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)).astype(
        array.dtype
    )


@lru_cache(maxsize=16)
def probe(
    case: Case, order: int = 1, dtype: str = "float64", knowledge: str = "static"
) -> Probe | None:
    """Return the probe of a case, of order 2 that of its derivatives of order 1.

    ``None`` where nothing has a derivative, or the sample asks for none of that order.
    """
    built = build(case, dtype, knowledge)
    moving = [x for x in built.inputs if x.type.is_float]
    is_smooth = any(y.type.is_float for y in built.outputs)
    if case.sample.order < order or not moving or not is_smooth:
        return None
    rng = case.rng()
    if order == 1:
        pairs = zip(built.outputs, built.values, strict=True)
        outputs = {node: value for node, value in pairs if node.type.is_float}
        return probe_at(built.inputs, built.arrays, moving, outputs, rng, knowledge)
    first = probe(case, order - 1, dtype, knowledge)
    assert first is not None
    outputs = dict(zip((*first.pulled, *first.pushed), first.values, strict=True))
    return probe_at(first.inputs, first.arrays, moving, outputs, rng, knowledge)


# Checks of values and types


def check_has_samples(op_class: type[Op]) -> None:
    """An op has samples with different labels, and a docstring."""
    name = op_class.name
    assert op_class.samples, f"op {name!r} has no samples: nothing about it would be tested"
    assert op_class.__doc__, f"op {name!r} has no docstring"
    ids = [case.id for case in cases_of(op_class)]
    assert len(set(ids)) == len(ids), f"two samples of {name!r} have the same label: {ids}"


def check_sample_applies_op(case: Case) -> None:
    """The graph of a sample holds the op that it is a sample of."""
    built = [build(case, dtype) for dtype in ("float64", "float32")]
    found = {type(node.op) for graph in built for node in graph.nodes}
    if case.op_class not in found:
        names = sorted(kind.name for kind in found if kind is not None)
        raise AssertionError(f"the sample applies {names}, not {case.op_class.name!r}")


def check_types(case: Case, dtype: str, knowledge: str) -> None:
    """Every inferred type is that of the value, in the graph and in its first derivative."""
    if _refuses(case, knowledge):
        return
    built = build(case, dtype, knowledge)
    check_node_types(sm.Graph(built.outputs, built.inputs), built.arrays, built.values)
    found = probe(case, 1, dtype, knowledge)
    if found is not None:
        graph = sm.Graph([*found.pulled, *found.pushed], found.inputs)
        check_node_types(graph, found.arrays, found.values)


def check_node_types(graph: sm.Graph, arrays: Sequence[Array], results: Sequence[Any]) -> None:
    """The declared type of each node admits its value; once specialised it is exact.

    ``results`` are the values of the outputs, as they are compiled; the values of all nodes are
    those of their kernels.
    """
    verify(graph)
    nodes = list(dict.fromkeys(node for node in graph.nodes if node not in set(graph.inputs)))
    whole = specialise(
        sm.Graph([*nodes, *graph.outputs], graph.inputs),
        [type_of(np.asarray(array)) for array in arrays],
    )
    verify(whole)
    values = run_kernels(whole, arrays)
    for node, exact, value in zip(nodes, whole.outputs, values, strict=False):
        actual = type_of_value(value)
        assert _admits(node.type, actual), f"{node!r} has a value of type {actual}"
        if isinstance(exact.op, While):  # it alone makes as many rows as the numbers say
            assert _admits(exact.type, actual), f"{exact!r} has a value of type {actual}"
        elif exact.type.is_static:
            assert exact.type == actual, f"{exact!r}, specialised, has a value of type {actual}"
        else:
            assert _depends_on_loop(exact), f"the type of {exact!r} is not known"
            assert _admits(exact.type, actual), f"{exact!r} has a value of type {actual}"
    for exact, result in zip(whole.outputs[len(nodes) :], results, strict=True):
        actual = type_of_value(result)
        assert exact.type == actual, f"{exact!r}, specialised, has a result of type {actual}"


def run_kernels(graph: sm.Graph, arrays: Sequence[Any]) -> list[Any]:
    """Return the outputs of a specialised graph, op by op, by the kernels that NumPy runs."""
    given = [np.asarray(array)[()] for array in arrays]
    values: dict[Node, Any] = dict(zip(graph.inputs, given, strict=True))
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            if node not in values:
                values[node] = _run_kernel(node, [values[x] for x in node.inputs])
    return [values[node] for node in graph.outputs]


def _run_kernel(node: Node, inputs: Sequence[Any]) -> Any:
    if isinstance(node, Constant):
        return node.value[()]
    assert node.op is not None
    value = kernel_of(node.op)(*inputs)
    return value[()] if isinstance(value, np.ndarray) else value


def type_of_value(value: Any) -> Any:
    """Return the type of a result; an absent item of a structure has the type ``None``."""
    if value is None:
        return None
    if isinstance(value, dict):
        return StructureType("dict", tuple((k, type_of_value(v)) for k, v in value.items()))
    if isinstance(value, (tuple, list)):
        kind = type(value).__name__
        return StructureType(kind, tuple((k, type_of_value(v)) for k, v in enumerate(value)))
    if sparse.issparse(value):
        return SparseType(value.dtype, value.shape, value.nnz)
    assert isinstance(value, (np.ndarray, np.generic)), f"a value is a {type(value).__name__}"
    assert isinstance(value, np.ndarray) == (value.ndim > 0), "a 0-d result is not a NumPy scalar"
    return TensorType(value.dtype, value.shape)


def _depends_on_loop(node: Node) -> bool:
    return any(isinstance(source.op, While) for source in topological_order([node]))


def _admits(declared: Any, actual: Any) -> bool:
    if isinstance(declared, StructureType) and isinstance(actual, StructureType):
        same = declared.kind == actual.kind and declared.keys == actual.keys
        pairs = zip(declared.fields, actual.fields, strict=True)
        return same and all(_admits(a, b) for (_, a), (_, b) in pairs)
    if isinstance(declared, SparseType) and isinstance(actual, SparseType):
        sizes = [(*type_.shape, type_.stored) for type_ in (declared, actual)]
        return declared.dtype == actual.dtype and compatible_shapes(*sizes)
    if not (isinstance(declared, TensorType) and isinstance(actual, TensorType)):
        return declared is None and actual is None
    if declared.is_static:
        return declared == actual
    return declared.dtype == actual.dtype and compatible_shapes(declared.shape, actual.shape)


def _refuses(case: Case, knowledge: str) -> bool:
    """Whether the sample says that it needs more than ``knowledge``; then an error must say so.

    Mixed knowledge may be enough, or not.
    """
    needed = {"": 0, "rank": 1, "shape": 2}[case.sample.needs]
    known = {MIXED: 0, "unknown": 0, "named": 1, "static": 2}[knowledge]
    if known >= needed:
        return False
    try:
        build(case, "float64", knowledge)
        probe(case, 1, "float64", knowledge)
    except SymadError as error:
        caught = error
    else:
        assert knowledge == MIXED, f"no error, although the sample needs {case.sample.needs!r}"
        return False
    words = ("rank", "axes", "shape", "size", "dimension")
    assert any(word in str(caught) for word in words), caught
    assert caught.where, "the error does not name the user's line"
    return True


def check_partial_knowledge(case: Case, knowledge: str) -> None:
    """Values and gradients do not depend on what was known as the graph was built."""
    if _refuses(case, knowledge):
        return
    full, less = build(case), build(case, "float64", knowledge)
    assert_close(less.answers, full.answers, rtol=1e-12, dtype=True)
    for order in range(1, case.sample.order + 1):
        exact, found = probe(case, order), probe(case, order, "float64", knowledge)
        if exact is None or found is None:
            assert exact is found
            return
        assert_close(found.values, exact.values, rtol=1e-10, dtype=True)


def check_mixed_knowledge(case: Case, check: Callable[..., None]) -> None:
    """What holds for variables that declare the same holds if each declares something else."""
    if len(case.sample.inputs) > 1:
        check(case, knowledge=MIXED)


TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
"""Room for another formula of the same function; relative to the largest element."""


def check_reference(case: Case, dtype: str) -> None:
    """The value is that of the independent reference."""
    if case.sample.reference is None:
        return
    built = build(case, dtype)
    actual = built.answers
    with np.errstate(all="ignore"):
        expected = case.sample.reference(*built.arrays)
    wanted = [np.asarray(leaf) for leaf in leaves(expected)]
    assert_close(actual, wanted, rtol=TOLERANCE[dtype])
    for got, want in zip(actual, wanted, strict=True):
        assert as_array(got).dtype.kind == want.dtype.kind, (got.dtype, want.dtype)
        if case.sample.signed_zeros and want.dtype.kind == "f" and dtype == "float64":
            zero = (want == 0) & (np.asarray(got) == 0)
            np.testing.assert_array_equal(
                np.signbit(got)[zero], np.signbit(want)[zero], "signs of zeros"
            )


def check_float32(case: Case) -> None:
    """float32 stays float32 in values and derivatives, which agree with those of float64."""
    narrow = build(case, "float32")
    all_narrow = not _float64_nodes(sm.Graph(narrow.outputs, narrow.inputs))
    if not all_narrow:
        assert _is_widened(narrow), "a node is float64, but neither input nor constant nor cast is"
    for order in range(1, case.sample.order + 1):
        few, many = probe(case, order, "float32"), probe(case, order)
        if few is None or many is None:
            return
        derivatives = sm.Graph([*few.pulled, *few.pushed], few.inputs)
        assert not (all_narrow and _float64_nodes(derivatives)), _float64_nodes(derivatives)
        # Derivatives are of size 1; where they vanish, those of float32 are rounding noise.
        assert_close(few.values, many.values, rtol=2e-3, atol=2e-3)


def _float64_nodes(graph: sm.Graph) -> list[Node]:
    tensors = (node for node in graph.nodes if isinstance(node.type, TensorType))
    return [node for node in tensors if node.type.dtype == np.float64]


def _is_widened(built: Built) -> bool:
    """Whether NumPy's promotion gives float64: a float64 or integer operand, or a cast."""
    nodes = sm.Graph(built.outputs, built.inputs).nodes
    kinds = [node.type.dtype for node in nodes if node.op is None]
    wide = any(dtype == np.float64 or dtype.kind in "iu" for dtype in kinds)
    return wide or any(isinstance(node.op, Cast) for node in nodes)


def as_array(value: Any) -> Array:
    """Return a value as an array, also that of a sparse matrix."""
    return np.asarray(value.toarray() if sparse.issparse(value) else value)


def assert_close(
    actual: Sequence[Any],
    expected: Sequence[Any],
    rtol: float,
    atol: float = 1e-300,
    dtype: bool = False,
) -> None:
    """Assert that results agree, relative to their largest finite element, at most 10."""
    assert len(actual) == len(expected)
    for got, want in zip(actual, expected, strict=True):
        if want is None:
            assert got is None
            continue
        a, b = as_array(got), as_array(want)
        assert a.shape == b.shape, f"shape {a.shape}, expected {b.shape}"
        assert not dtype or a.dtype == b.dtype, f"dtype {a.dtype}, expected {b.dtype}"
        finite = np.abs(b[np.isfinite(b)]) if b.dtype.kind == "f" else np.zeros(0)
        scale = float(finite.max()) if finite.size else 0.0
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * min(scale, 10.0) + atol)


# Checks of derivatives


def check_derivatives(case: Case) -> None:
    """Reverse and forward rules agree with central differences, up to the order of the sample."""
    built = build(case)
    moving = [x for x in built.inputs if x.type.is_float]
    outputs = [y for y in built.outputs if y.type.is_float]
    if case.sample.order and moving and outputs:
        feed = dict(zip(built.inputs, built.arrays, strict=True))
        # Samples are of size 1, and where derivatives vanish, differences are rounding noise.
        atol = built.precision.difference
        check_gradients(outputs, moving, at=feed, order=case.sample.order, atol=atol)


def check_dot(case: Case, order: int) -> None:
    """⟨Jᵀg, t⟩ = ⟨g, Jt⟩: reverse and forward mode are transposes of one another."""
    found = probe(case, order)
    if found is None:
        return
    pulled, pushed = found.values[: len(found.pulled)], found.values[len(found.pulled) :]
    left, left_scale = inner(pulled, found.tangents)
    right, right_scale = inner(found.cotangents, pushed)
    # Intermediate terms of a second derivative may cancel: what is left carries their rounding.
    slack = {1: 1, 2: 100}[order]
    limit = slack * build(case).precision.dot * max(left_scale, right_scale, 1e-3)
    assert abs(left - right) <= limit, f"reverse {left!r}, forward {right!r}"


def inner(a: Sequence[Any], b: Sequence[Any]) -> tuple[float, float]:
    """Return ⟨a, b⟩ and the sum of the magnitudes of its terms."""
    products = [np.ravel(np.multiply(x, y)) for x, y in zip(a, b, strict=True)]
    terms = np.concatenate(products) if products else np.zeros(0)
    return float(np.sum(terms)), float(np.sum(np.abs(terms)))


def check_adjoint_types(case: Case, dtype: str) -> None:
    """Each adjoint has the shape and dtype of the value of its node, and so has each tangent.

    Also where only one operand moves: no term of another one broadcasts the tangent then.
    """
    if probe(case, 1, dtype) is None:
        return
    built = build(case, dtype)
    ys = [y for y in built.outputs if y.type.is_float]
    xs = [x for x in built.inputs if x.type.is_float]
    derivatives = [*sm.extend(ys, xs).adjoints.items()]
    for moving in [xs, *([x] for x in xs if len(xs) > 1)]:
        derivatives += sm.tangents(ys, moving).items()
    pairs = [pair for pair in derivatives if isinstance(pair[0].type, TensorType)]
    values = run(built.inputs, [list(pair) for pair in pairs], built.arrays)
    for (node, _), (value, derivative) in zip(pairs, values, strict=True):
        what = f"derivative at {node!r}"
        assert derivative.dtype == value.dtype, f"{what} is {derivative.dtype}"
        assert derivative.shape == value.shape, f"{what} has shape {derivative.shape}"


def check_no_gradient(case: Case) -> None:
    """An integer or boolean result has no gradient, and the error says why."""
    built = build(case)
    xs = [x for x in built.inputs if x.type.is_float]
    for output in built.outputs:
        if not output.type.is_float and xs:
            with pytest.raises(GradientError, match="have no derivative"):
                sm.gradients(output, xs)


# Checks of what surrounds the numbers


def check_rendering(case: Case) -> None:
    """Each node has a text and a LaTeX form, and the graph a text form."""
    built = build(case)
    for node in built.nodes:
        text = format_term(node, lambda source: source.label)
        latex = format_term(node, lambda source: "x", latex=True)
        assert isinstance(text, str) and text.strip()
        assert isinstance(latex, str) and latex.strip()
        assert latex.count("{") == latex.count("}"), f"braces do not match: {latex}"
        assert "_" not in latex.replace(r"\_", "").replace("_{", ""), f"a bare _ in {latex}"
    graph = sm.Graph(built.outputs, built.inputs)
    assert str(graph).count("\n") >= len(built.nodes)


def check_facts(case: Case) -> None:
    """What an op says of its sign, its poles and the order of its operands is true."""
    built = build(case)
    graph = sm.Graph(built.outputs, built.inputs)
    for node in built.nodes:
        if type(node.op) is case.op_class:
            assert not node.op.order_shows or node.op.commutative
            inputs = run(graph.inputs, list(node.inputs), built.arrays)
            with np.errstate(all="ignore"):
                _check_sign(node.op, inputs)
                _check_poles(node.op, inputs)
                _check_order(node.op, inputs)


def _check_sign(op: Op, inputs: Sequence[Any]) -> None:
    if op.sign == "as inputs":
        read = [op.reads(slot) for slot in range(len(inputs))]
        inputs = [abs(x) if there else x for x, there in zip(inputs, read, strict=True)]
    if op.sign != "any":
        result = np.asarray(kernel_of(op)(*inputs))
        below = np.signbit(result) & ~np.isnan(result) if result.dtype.kind == "f" else result < 0
        assert not below.any(), f"{op.name} has the sign {op.sign!r}, and makes {result}"


_ORDINARY = 100.0
"""Of numbers up to this size, no op of symad makes one that is too large."""


def _check_poles(op: Op, inputs: Sequence[Any]) -> None:
    if all(np.all(np.abs(x) <= _ORDINARY) for x in leaves(list(inputs)) if x is not None):
        found = [x for x in leaves(kernel_of(op)(*inputs)) if x is not None]
        if any(np.isinf(as_array(x)).any() for x in found if as_array(x).dtype.kind == "f"):
            assert op.has_poles, f"{op.name} is infinite, and does not say that it has poles"


def _check_order(op: Op, inputs: Sequence[Any]) -> None:
    if op.commutative and len(inputs) == 2:
        one, other = (np.asarray(kernel_of(op)(*pair)) for pair in (inputs, inputs[::-1]))
        np.testing.assert_array_equal(one, other, f"{op.name} depends on the order of its operands")
        if one.dtype.kind == "f" and not op.order_shows:
            zero = one == 0
            np.testing.assert_array_equal(np.signbit(one)[zero], np.signbit(other)[zero])


def check_memory(case: Case, dtype: str = "float64") -> None:
    """Kernels leave their inputs alone, and results share memory only as the op says."""
    built = build(case, dtype)
    graph = sm.Graph(built.outputs, built.inputs)
    nodes = [node for node in built.nodes if type(node.op) is case.op_class]
    for node in nodes:
        assert node.op is not None
        inputs = run(graph.inputs, list(node.inputs), built.arrays)
        before = pickle.dumps(inputs)
        with np.errstate(all="ignore"):
            result = kernel_of(node.op)(*inputs)
        assert pickle.dumps(inputs) == before, f"{node!r} changed its input"
        for slot, value in enumerate(inputs):
            if _shares_memory(result, value):
                allowed = node.op.is_view and (slot == 0 or isinstance(node.type, StructureType))
                assert allowed, f"{node!r} shares memory with input {slot}"


def kernel_of(op: Op) -> Callable[..., Any]:
    """Return the function of arrays that the NumPy backend runs for ``op``."""
    if isinstance(op, WithBody):
        return op.kernel_of(*[numpy_program(make_plan(body)) for body in op.bodies])
    return op.kernel()


def _shares_memory(result: Any, value: Any) -> bool:
    return any(
        np.shares_memory(a, b)
        for a in leaves(result)
        for b in leaves(value)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    )


def check_identity(case: Case) -> None:
    """Ops made again with the same attributes are equal; graphs survive pickling."""
    built = build(case)
    for node in built.nodes:
        assert node.op is not None
        again = node.op.with_attributes()
        assert again == node.op and hash(again) == hash(node.op)
    graph = sm.Graph(built.outputs, built.inputs)
    restored = pickle.loads(pickle.dumps(graph))
    assert_graphs_equal(restored, graph)
    actual = run(restored.inputs, list(restored.outputs), built.arrays)
    assert_close(actual, built.values, rtol=0, dtype=True)


# All of them

DTYPES = ("float64", "float32")

CHECKS: dict[str, Callable[[Case], None]] = {
    "sample applies op": check_sample_applies_op,
    **{
        f"types, {knowledge}, {dtype}": partial(check_types, dtype=dtype, knowledge=knowledge)
        for knowledge in KNOWLEDGE
        for dtype in DTYPES
    },
    "partial knowledge, named": partial(check_partial_knowledge, knowledge="named"),
    "partial knowledge, unknown": partial(check_partial_knowledge, knowledge="unknown"),
    "types, mixed": partial(check_mixed_knowledge, check=partial(check_types, dtype="float64")),
    "partial knowledge, mixed": partial(check_mixed_knowledge, check=check_partial_knowledge),
    **{f"reference, {dtype}": partial(check_reference, dtype=dtype) for dtype in DTYPES},
    "float32": check_float32,
    "derivatives": check_derivatives,
    "dot, order 1": partial(check_dot, order=1),
    "dot, order 2": partial(check_dot, order=2),
    **{f"adjoint types, {dtype}": partial(check_adjoint_types, dtype=dtype) for dtype in DTYPES},
    "no gradient": check_no_gradient,
    "rendering": check_rendering,
    "facts": check_facts,
    "memory": check_memory,
    "identity": check_identity,
}


def check_all(case: Case, but: Sequence[str] = ()) -> None:
    """Run every check of a case, but those that are named.

    Raises
    ------
    ExceptionGroup
        Of the errors of all checks that fail, each with a note that says which it was.
    """
    errors = []
    for name, check in CHECKS.items():
        if name in but:
            continue
        try:
            check(case)
        except Exception as error:
            error.add_note(f"check of {case.id}: {name}")
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{case.id} fails {len(errors)} of {len(CHECKS)} checks", errors)
