"""Random graphs that mind nothing: all dtypes, NaN and infinities, kinks, empty axes, odd memory.

``wild_graph(seed)`` is the same graph each time.  It grows as in :mod:`random_graphs`, with every
op of the table, by its samples, and with functions that are composed of several, and keeps whatever
comes out; :mod:`stochastic` tells which of its digits mean anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import symad as sm
from symad.errors import SymadError
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.graph.op import OP_CLASSES
from symad.ops.base import PerElement
from symad.ops.structure import items_of
from symad.types import TensorType
from tests.support import all_ops, everyday  # noqa: F401  the graph of a seed holds any op
from tests.support.op_checks import KNOWLEDGE, Case, cases_of
from tests.support.random_graphs import (
    MAKERS,
    Array,
    Builder,
    Maker,
    Rng,
    join,
    matrix_product,
    pick_two,
    random_axis,
    shape_change,
)  # fmt: skip
from tests.support.random_loops import LOOPS

SHAPES = (
    (), (3,), (2, 3), (2, 1), (1, 3), (3, 3), (2, 3, 3), (1,), (1, 1), (0,), (2, 0), (0, 3), (8,),
    (5, 9), (1, 9), (5, 1), (2, 5, 9), (2, 1, 9), (600,), (3, 600), (600, 3), (17, 1), (17, 33),
)  # fmt: skip
LARGE = ((4099,), (40, 33, 8), (70_001,), (400, 400), (1, 140_000), (140_000,))
"""Longer than a row, a block or what one thread does."""
DTYPES = ("float64", "float32", "float16", "int64", "int32", "int8", "uint8", "uint64", "bool")
LIKELY = np.array([8, 5, 1, 2, 2, 1, 1, 1, 2]) / 23
SPECIAL = (0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0, 0.5, 1e-30, 1e30, 800.0, -40.0)


@dataclass(frozen=True)
class WildGraph:
    """A graph with values for its inputs, laid out in odd ways."""

    seed: int
    graph: sm.Graph
    arrays: tuple[Any, ...]

    def __str__(self) -> str:
        feeds = "\n".join(
            f"{node.name} = {np.array2string(np.asarray(value), threshold=20, precision=17)}  "
            f"# {value.dtype.str}[{', '.join(map(str, value.shape))}], "
            f"strides {getattr(value, 'strides', ())}"
            for node, value in zip(self.graph.inputs, self.arrays, strict=True)
        )
        return f"wild_graph({self.seed})\n{self.graph}\n{feeds}"


def wild_graph(seed: int, steps: int = 8) -> WildGraph:
    """Return the wild graph of a seed, with derivatives of order 1 or 2 among its outputs."""
    rng = np.random.default_rng([seed, 77])
    knowledge = str(rng.choice(KNOWLEDGE))
    builder = WildBuilder(rng, ("float64", "float32", "float16"), knowledge)
    with np.errstate(all="ignore"):
        builder.grow(steps)
    grown = builder.finish(seed).graph
    outputs = [*grown.outputs, *_derivatives(rng, grown)]
    if rng.random() < 0.15:
        outputs.append(sm.structure({"all": list(outputs), "first": outputs[0]}))
    arrays = _share_memory(rng, [np.asarray(builder.values[x]) for x in grown.inputs])
    laid_out = tuple(lay_out(rng, array) for array in arrays)
    return WildGraph(seed, sm.Graph(outputs, grown.inputs), laid_out)


def _derivatives(rng: Rng, graph: sm.Graph) -> list[Node]:
    """Return gradients of the outputs, of order 0, 1 or 2; none where the rules decline."""
    order = int(rng.choice(3, p=[0.3, 0.5, 0.2]))
    xs = [x for x in graph.inputs if x.type.is_float]
    ys = [y for y in graph.outputs if isinstance(y.type, TensorType) and y.type.is_float]
    made: list[Node] = []
    for _ in range(order):
        if not xs or not ys:
            break
        try:
            if rng.random() < 0.3:
                ys = list(sm.pushforward(ys, xs, [sm.ones_like(x) for x in xs]))
            else:
                ys = list(sm.gradients(ys, xs, unused="zero"))
        except SymadError:
            break
        made += ys
    return made


class WildBuilder(Builder):
    reports_errors = False
    may_be_empty = True

    def draw_inputs(self) -> Iterator[Array]:
        rng = self.rng
        self.is_large = rng.random() < 0.06
        shapes = LARGE if self.is_large else SHAPES
        for _ in range(int(rng.integers(1, 5))):
            shape = shapes[rng.integers(len(shapes))]
            yield draw(rng, shape, np.dtype(rng.choice(DTYPES, p=LIKELY)))

    def step(self) -> None:
        try:
            super().step()
        except (ValueError, TypeError, IndexError):  # a maker or kernel has no use for these values
            pass

    def integer(self, value: int) -> Any:
        """Return an integer, or an input."""
        if self.depth or len(self.inputs) == MOST_INPUTS or self.rng.random() < 0.5:
            return value
        return self.new_input(np.asarray(value, np.int64))

    def makers(self) -> Sequence[Maker]:
        return SMALL_MAKERS if self.is_large else ALL_MAKERS

    def will_do(self, value: Any) -> bool:
        return not hasattr(value, "tocsr")  # what is sparse is an operand of products alone

    def near_zero(self, *nodes: Node) -> bool:
        return False


def draw(rng: Rng, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return numbers, among them special ones."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        small = rng.integers(0 if dtype.kind == "u" else -3, 6, shape)
        ends = rng.choice(np.array([limits.min, limits.max, 0, 1], dtype), shape)
        return np.asarray(np.where(rng.random(shape) < 0.05, ends, small.astype(dtype)))
    array = rng.uniform(-2, 2, shape)
    share = rng.choice([0.0, 0.05, 0.2])
    with np.errstate(over="ignore"):
        array = np.where(rng.random(shape) < share, rng.choice(SPECIAL, shape), array)
        return np.asarray(array).astype(dtype)


def _share_memory(rng: Rng, arrays: list[Array]) -> list[Array]:
    """Let two inputs of one form overlap, or be one array, now and then."""
    for k in range(1, len(arrays)):
        first, second = arrays[k - 1], arrays[k]
        if first.dtype == second.dtype and first.shape == second.shape and rng.random() < 0.5:
            if first.ndim == 0 or rng.random() < 0.3:
                arrays[k] = first
            else:
                whole = np.concatenate([first, second])
                size = first.shape[0]
                start = size // 2
                arrays[k - 1], arrays[k] = whole[:size], whole[start : start + size]
    return arrays


def lay_out(rng: Rng, array: Array) -> Any:
    """Return an array of the same values that lies in memory in another way."""
    kind = rng.integers(12)
    if array.ndim == 0:
        return array[()] if kind < 6 else array
    if kind == 0:
        return np.asfortranarray(array)
    if kind == 1:
        return np.ascontiguousarray(array[::-1])[::-1]
    if kind == 2:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if kind == 3:
        array = array.copy()
        array.flags.writeable = False
    if kind == 4:
        return array.astype(array.dtype.newbyteorder())
    if kind == 5:
        raw = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        raw[...] = array
        return raw
    if kind == 6:
        return np.ascontiguousarray(array.T).T
    if kind == 7 and array.size:
        return np.broadcast_to(array.ravel()[0], array.shape)
    if kind == 8:
        return array.view(Subclass)
    return array


class Subclass(np.ndarray):  # type: ignore[type-arg]
    """An array with a type of its own."""


WILD: list[Maker] = []
ELEMENTWISE = sorted(
    name for name, kind in OP_CLASSES.items()
    if issubclass(kind, PerElement) and hasattr(sm, name)
    and name not in ("identity", "cast", "where", "round", "add_n", "polygamma", "power")
)  # fmt: skip
UNARY_ARITY = {
    "add", "subtract", "multiply", "divide", "mod", "floor_divide", "fmod", "maximum", "minimum",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and",
    "logical_or", "logical_xor", "atan2", "hypot", "logaddexp",
}  # fmt: skip


def wild(weight: int) -> Any:
    def put(make: Maker) -> Maker:
        WILD.extend([make] * weight)
        return make

    return put


@wild(14)
def any_elementwise(b: Builder) -> Node | None:
    name = ELEMENTWISE[b.rng.integers(len(ELEMENTWISE))]
    function = getattr(sm, name)
    if name not in UNARY_ARITY:
        return function(b.pick())
    pair = pick_two(b)
    return None if pair is None else function(*pair)


@wild(3)
def any_where(b: Builder) -> Node | None:
    pair = pick_two(b)
    if pair is None:
        return None
    x, y = pair
    return sm.where([lambda: x < y, lambda: x != y, lambda: sm.isnan(x)][b.rng.integers(3)](), x, y)


@wild(3)
def any_cast(b: Builder) -> Node | None:
    """What does not fit an integer has no defined value."""
    x, dtype = b.pick(), np.dtype(b.rng.choice(DTYPES, p=LIKELY))
    value = np.asarray(b.values[x])
    if dtype.kind in "iu" and value.dtype.kind == "f":
        low = 0 if dtype.kind == "u" else -100
        if not np.all((value > low) & (value < 100)):
            return None
    return x.astype(dtype)


@wild(2)
def a_power(b: Builder) -> Node | None:
    x = b.pick()
    if not x.type.is_float:
        return x ** int(b.rng.integers(0, 4))
    pair = pick_two(b)
    if pair is not None and pair[1].type.is_float and b.rng.random() < 0.5:
        return pair[0] ** pair[1]
    return x ** float(b.rng.choice([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 1.7]))


@wild(5)
def any_reduction(b: Builder) -> Node | None:
    x = b.pick()
    rank = len(b.shape(x))
    axes = tuple(int(a) for a in range(rank) if b.rng.random() < 0.5)
    functions = (sm.sum, sm.mean, sm.max, sm.min, sm.any, sm.all, sm.prod, sm.var, sm.std)
    function = functions[b.rng.integers(len(functions))]
    if function in (sm.max, sm.min) and 0 in b.shape(x):
        return None
    return function(x, axis=axes or None, keepdims=bool(b.rng.random() < 0.5))


@wild(2)
def normalised(b: Builder) -> Node | None:
    """Values per row go back into the rows."""
    x = b.pick()
    axis = random_axis(b, x)
    if axis is None or 0 in b.shape(x):
        return None
    kind = b.rng.integers(3)
    if kind == 0:
        return x - sm.mean(x, axis=axis, keepdims=True)
    if kind == 1:
        return x / sm.sum(sm.abs(x), axis=axis, keepdims=True)
    shifted = x - sm.max(x, axis=axis, keepdims=True)
    return sm.exp(shifted) / sm.sum(sm.exp(shifted), axis=axis, keepdims=True)


@wild(2)
def place(b: Builder) -> Node | None:
    x = b.pick()
    axis = random_axis(b, x)
    if axis is None or 0 in b.shape(x):
        return None
    return [sm.argmax, sm.argmin, sm.cumsum, sm.cumprod][b.rng.integers(4)](x, axis=axis)


@wild(3)
def odd_view(b: Builder) -> Node | None:
    x = b.pick()
    if not b.shape(x):
        return None
    return [lambda: x[::-1], lambda: x[..., ::-2], lambda: x[1:], lambda: x[:0], lambda: x.T,
            lambda: x[None], lambda: x[..., None], lambda: x[-1]][b.rng.integers(8)]()  # fmt: skip


@wild(1)
def with_array(b: Builder) -> Node | None:
    """A constant of the same shape, or of a row."""
    x = b.pick()
    shape = b.shape(x)[-1:] if b.rng.random() < 0.5 else b.shape(x)
    return x * sm.constant(draw(b.rng, shape, np.dtype(b.rng.choice(DTYPES, p=LIKELY))))


SAMPLES = [
    case
    for _, op in sorted(OP_CLASSES.items())
    if op.__module__.startswith("symad.")
    for case in cases_of(op)
]


@wild(16)
def any_op(b: Builder) -> Node | None:
    """An op of the table: on what its sample asks for, or element by element on whatever there is.

    Nodes of odd shapes may be no operands of a sample, which then makes nothing.
    """
    case, dtype = pick_case(b), np.dtype(b.rng.choice(b.dtypes))
    arrays = [np.asarray(draw(b.rng, dtype)) for draw in case.sample.inputs]
    if case.op_class.name in ENDLESS:
        return one_of(b, case.sample.call(*[node_near(b, array) for array in arrays]))
    if issubclass(case.op_class, PerElement) and b.rng.random() < 0.7:
        operands = zip(operands_of_one_shape(b, len(arrays)), arrays, strict=True)
        return one_of(b, case.sample.call(*[as_floats(b, x, array) for x, array in operands]))
    return one_of(b, case.sample.call(*[node_like(b, array) for array in arrays]))


ENDLESS = ("boxcox", "boxcox1p", "exprel", "hyp1f1", "hyp2f1")
"""SciPy adds up series of these or of their slopes for minutes where arguments are large."""


def pick_case(b: Builder) -> Case:
    """Return a sample of an op; each op is as likely as any other."""
    name = b.rng.choice(OPS)
    cases = [case for case in SAMPLES if case.op_class.name == name]
    return cases[b.rng.integers(len(cases))]


OPS = sorted({case.op_class.name for case in SAMPLES})


@wild(8)
def any_function(b: Builder) -> Node | None:
    """A function that is composed of several ops."""
    call, arrays = FUNCTIONS[b.rng.integers(len(FUNCTIONS))]
    return one_of(b, call(*[node_like(b, array) for array in arrays]))


def operands_of_one_shape(b: Builder, count: int) -> list[Node]:
    """Return nodes that broadcast together."""
    found = [b.pick()]
    while len(found) < count:
        pair = pick_two(b)
        other = b.pick() if pair is None else pair[1]
        np.broadcast_shapes(*map(b.shape, found), b.shape(other))
        found.append(other)
    return found


def as_floats(b: Builder, x: Node, array: Array) -> Node:
    """Return an operand, of floats where an op asks for these: some take nothing else."""
    return x.astype(array.dtype) if b.dtype(x).kind != "f" and array.dtype.kind == "f" else x


def node_like(b: Builder, array: Array) -> Node:
    """Return a node of the shape and the dtype of an array: an earlier one, or made of one."""
    alike = [x for x in b.pool if b.shape(x) == array.shape and b.dtype(x).kind == array.dtype.kind]
    if alike and b.rng.random() < 0.6:
        return alike[b.rng.integers(len(alike))].astype(array.dtype)
    if not b.depth and len(b.inputs) < MOST_INPUTS and b.rng.random() < 0.3:
        return b.new_input(array)
    return node_near(b, array)


def node_near(b: Builder, array: Array) -> Node:
    """Return a node that is made of an earlier one, and of the values of an array.

    Real numbers differ from the array by a tenth, so that they stay where an op asks for them to
    be; integers are those of the array.
    """
    x = b.pick()
    if array.dtype.kind != "f" or not np.size(b.values[x]) or b.rng.random() < 0.2:
        return sm.constant(array)
    other = sm.mean(x) if b.rng.random() < 0.5 else sm.resize(x, array.shape)
    return sm.constant(array) * (1 + 0.1 * sm.sin(other.astype(array.dtype)))


MOST_INPUTS = 6


def one_of(b: Builder, made: Any) -> Node | None:
    """Return one of the tensors that a function returns."""
    nodes = [leaf for leaf in leaves(made) if isinstance(leaf, Node)]
    if not nodes:
        return None
    items = items_of(nodes[b.rng.integers(len(nodes))])
    return items[b.rng.integers(len(items))]


def _of_module(module: Any, cases: str, *arrays: Array) -> list[Any]:
    """Return rows of :data:`FUNCTIONS` for functions of a module, by their names."""
    return [(getattr(module, name), arrays) for name in cases.split()]


_X, _Y = everyday.smooth(3), everyday.smooth(2, 3)
_POSITIVE, _SHARE = np.abs(_X) + 0.1, np.array([0.2, 0.5, 0.9])
FUNCTIONS: list[tuple[Callable[..., Any], tuple[Array, ...]]] = [
    *[(partial(case.call, everyday.SYMAD), case.arrays) for case in everyday.TABLE],
    *_of_module(
        sm.nn,
        "celu elu gelu glu hard_sigmoid hard_silu hard_tanh leaky_relu log_sigmoid mish relu6 "
        "selu silu softsign rms_norm layer_norm",
        everyday.smooth(2, 4),
    ),
    *_of_module(sm.nn, "huber l1 mse", _Y, _Y),
    (partial(sm.nn.conv, padding=1), (everyday.smooth(2, 5, 4), everyday.smooth(3, 5, 2))),
    (partial(sm.nn.max_pool, window=2), (everyday.smooth(2, 3, 4),)),
    (partial(sm.nn.avg_pool, window=2), (everyday.smooth(2, 3, 4),)),
    *_of_module(sm.special, "entr expit i0 i0e i1 i1e log_expit logit loggamma ndtr", _POSITIVE),
    *_of_module(sm.special, "comb", _POSITIVE + 3, _SHARE),
    *[
        (getattr(getattr(sm.stats, name), method), (_SHARE, *shapes, _X, _POSITIVE))
        for name, shapes in {
            "norm": (), "laplace": (), "logistic": (), "cauchy": (), "uniform": (), "expon": (),
            "gamma": (_POSITIVE,), "beta": (_POSITIVE, _POSITIVE), "t": (_POSITIVE,),
        }.items()
        for method in ("logpdf", "pdf", "cdf", "logsf")
        if hasattr(getattr(sm.stats, name), method)
    ],
]  # fmt: skip


FLAT_MAKERS = MAKERS + WILD
ALL_MAKERS = FLAT_MAKERS + LOOPS
GROWING = (matrix_product, shape_change, odd_view, join, any_function)
SMALL_MAKERS = [make for make in FLAT_MAKERS if make not in GROWING]
"""Those that don't make more of what they get."""
