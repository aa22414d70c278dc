"""Graphs run by JAX: an independent implementation of every op, and of every derivative."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

# AVX has no operation that adds a product which has not been rounded.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_max_isa=AVX")

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np

import symad as sm
from symad.backends.xla import translations as jax_ops
from symad.backends.xla.translations import floating, transposed
from symad.graph.nested import is_nested, leaves
from symad.graph.node import Constant, Node
from symad.graph.op import OP_CLASSES, Op
from symad.ops.base import Elementwise, PerElement
from symad.ops.body import WithBody
from symad.ops.loops import While
from symad.ops.subscript import count_holes
from symad.types import TensorType
from tests.support.op_checks import kernel_of
from tests.support.stochastic import RUNNING

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)  # each op is compiled, and runs once

UNTRANSLATED = {
    "betaincinv": "JAX does not have it",
    "boxcox": "JAX takes the derivative by p at p = 0 for 0",
    "erfcinv": "JAX does not have it",
    "gammaincinv": "JAX does not have it",
    "inverse_factored": "compared with what it replaces in tests/passes/test_shared_factors.py",
    "lu_factors": "compared with what it replaces in tests/passes/test_shared_factors.py",
    "slogdet_factored": "compared with what it replaces in tests/passes/test_shared_factors.py",
    "solve_factored": "compared with what it replaces in tests/passes/test_shared_factors.py",
    "assemble_csr": "JAX has no such sparse results",
    "iv": "JAX does not have it",
    "sparse_matmul": "compared with dense products in tests/ops/test_sparse_constants.py",
    "ive": "JAX does not have it",
    "jv": "JAX has integer orders only",
    "kv": "JAX does not have it",
    "rgamma": "JAX does not have it",
    "yv": "JAX does not have it",
    "scaled_erfc": "JAX does not have it",
    "hyp1f1": "JAX's series is off by 1e-4 at -30",
    "hyp2f1": "JAX's series is off by 1e69 at -1.2",
    "stdtr": "JAX does not have it",
    "stdtrit": "JAX does not have it",
    "spence": "JAX's derivative at 1 is NaN",
}
"""Ops that JAX cannot check, and why."""

TABLE: dict[str, Callable[..., Any]] = {
    name: function for name, function in jax_ops.TABLE.items() if name not in UNTRANSLATED
}
"""From the name of an op to a function of JAX arrays, with the op's attributes as keywords.

It begins with what ``sm.to_jax`` makes of ops, which is thereby compared as well.  What follows has
other digits, derivatives or special points, or is written in another way on purpose.
"""

SAME_NAME = (
    "abs acos acosh add all any argmax argmin asin asinh atan atan2 atanh "
    "bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor "
    "cbrt ceil copysign cos cosh "
    "deg2rad diag diagonal divide equal exp exp2 expand_dims expm1 flip floor "
    "greater greater_equal hypot isfinite isinf isnan less less_equal log log10 log1p log2 "
    "logaddexp logical_and logical_not logical_or logical_xor matrix_transpose maximum "
    "minimum moveaxis multiply negative not_equal ones_like power prod "
    "rad2deg roll sign signbit sin sinh sqrt square squeeze subtract sum swapaxes tan "
    "tile transpose tril triu trunc where zeros_like"
)
TABLE.update((name, getattr(jnp, name)) for name in SAME_NAME.split())
TABLE.update((name, getattr(special, name)) for name in "digamma erf erfc erfinv gammaln".split())
TABLE.update((name, getattr(jnp.linalg, name)) for name in "cholesky eigvalsh inv svdvals".split())
TABLE.update((name, getattr(jax.nn, name)) for name in "relu softplus".split())


@jax.custom_jvp
def _tanh(x: Any) -> Any:
    """JAX's own derivative, 1 - tanh(x)², loses its digits where tanh(x) is nearly 1."""
    return jnp.tanh(x)


_tanh.defjvps(lambda v, _, x: v * _tanh_slope(x))


@jax.custom_jvp
def _tanh_slope(x: Any) -> Any:
    """No step of it is smaller than the slope, and 0 in JAX where that is a normal number.

    JAX's derivative is NaN where cosh x overflows.
    """
    return (1 / jnp.cosh(x)) ** 2


_tanh_slope.defjvps(lambda v, y, x: -2 * v * y * _tanh(x))


@jax.custom_jvp
def _sigmoid(x: Any) -> Any:
    """JAX's own derivative, y (1 - y), loses its digits where y is nearly 1."""
    return jax.nn.sigmoid(x)


_sigmoid.defjvps(lambda v, _, x: v * _sigmoid(x) * _sigmoid(-x))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _softmax(x: Any, axis: Any) -> Any:
    """JAX's own derivative, y (v - sum(v y)), loses its digits where one y is nearly 1.

    A constant may be subtracted from v first: the v of the largest y.
    """
    return jax.nn.softmax(x, axis=axis)


@_softmax.defjvp
def _softmax_tangent(axis: Any, primals: Any, tangents: Any) -> Any:
    y = _softmax(*primals, axis)
    return y, y * _less_mean(*tangents, y, axis)


def _less_mean(v: Any, p: Any, axis: Any) -> Any:
    """Return v - sum(v p); the v of the largest p is subtracted first."""
    total = partial(jnp.sum, axis=axis, keepdims=True)
    is_largest = p == jnp.max(p, axis=axis, keepdims=True, initial=0)
    v = v - total(jnp.where(is_largest, v, 0)) / total(is_largest)
    return v - total(v * p)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _log_softmax(x: Any, axis: Any) -> Any:
    """JAX's own derivative loses its digits as that of softmax does."""
    return jax.nn.log_softmax(x, axis=axis)


@_log_softmax.defjvp
def _log_softmax_tangent(axis: Any, primals: Any, tangents: Any) -> Any:
    return _log_softmax(*primals, axis), _less_mean(*tangents, _softmax(*primals, axis), axis)


TABLE.update(
    {
        "sigmoid": lambda x: _sigmoid(floating(x)),
        "softmax": lambda x, axis: _softmax(floating(x), axis),
        "log_softmax": lambda x, axis: _log_softmax(floating(x), axis),
        "tanh_slope": lambda x: _tanh_slope(floating(x)),
        "logsumexp_slope": lambda x, axis: jax.nn.softmax(x, axis=axis),
        "tanh": lambda x: _tanh(floating(x)),
        "polygamma": lambda x, n: special.polygamma(n, x),
        "log_cosh": lambda x: jnp.where(
            abs(x) < 1, jnp.log1p(2 * jnp.sinh(x / 2) ** 2), jnp.logaddexp(x, -x) - math.log(2)
        ),
        "det": lambda a: jax_ops.TABLE["det"](a) if a.shape[-1] else jnp.ones(a.shape[:-2]),
        "pinv": lambda a, rtol=None: jnp.linalg.pinv(a, rtol=rtol),
    }
)


def _order(*functions: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of an order, which JAX has for the first few."""

    def run(x: Any, order: int) -> Any:
        if order >= len(functions):
            raise NotTranslated(f"JAX does not have order {order}")
        return functions[order](x)

    return run


TABLE.update(
    {
        "bessel_i": _order(special.i0, special.i1),
        "expn": lambda x, n: special.expn(n, x),
        "exprel": lambda x: jnp.expm1(x) / x,
        "inv_boxcox": lambda y, p: jnp.exp(jnp.log1p(p * y) / p),
        "scaled_bessel_i": _order(special.i0e, special.i1e),
    }
)


def translates(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function in the table."""

    def put(function: Callable[..., Any]) -> Callable[..., Any]:
        TABLE.update(dict.fromkeys(names, function))
        return function

    return put


@translates("round")
def round_(x: Any, decimals: int) -> Any:
    integer = np.dtype(x.dtype).kind in "iu"  # which JAX does not round to tens
    return np.round(np.asarray(x), decimals) if integer else jnp.round(x, decimals)


@translates("nextafter")
def nextafter(x: Any, y: Any) -> Any:
    """JAX has no derivative of it."""
    moved = jnp.where(jnp.isfinite(x), x - jax.lax.stop_gradient(x), 0)
    return jnp.nextafter(*map(jax.lax.stop_gradient, (x, y))) + moved


# Indexing, here by the transpose of reading


def subscript(key: Sequence[Any], indices: Sequence[Any]) -> tuple[Any, ...]:
    rest = iter(indices)

    def part(entry: Any) -> Any:
        if isinstance(entry, tuple):
            return slice(*(None if bound is None else int(part(bound)) for bound in entry))
        return next(rest) if isinstance(entry, str) else entry

    return tuple(part(entry) for entry in key)


@translates("scatter_add")
def scatter_add(v: Any, like: Any, *indices: Any, key: Any) -> Any:
    place = subscript(key, indices)
    zeros = jnp.zeros(np.shape(like), v.dtype)
    return transposed(lambda x: x[place])(jnp.broadcast_to(v, zeros[place].shape), like)


@translates("scatter_sum")
def scatter_sum(*inputs: Any, keys: Any) -> Any:
    *values, like = inputs[: len(keys) + 1]
    rest, total = iter(inputs[len(keys) + 1 :]), jnp.zeros(np.shape(like), values[0].dtype)
    for key, v in zip(keys, values, strict=True):
        total += scatter_add(v, like, *itertools.islice(rest, count_holes(key)), key=key)
    return total


# Ops with a body


@translates("call")
def call(*values: Any, body: sm.Graph, **_: Any) -> Any:
    return evaluate(body, values)[0]


def _traced_results(body: sm.Graph, values: Sequence[Any]) -> list[Any]:
    """Return the results of a body as JAX arrays of the types that it has: sizes are NumPy's."""
    pairs = zip(body.outputs, evaluate(body, values), strict=True)
    return [jnp.asarray(value, node.type.dtype) for node, value in pairs]


def one_or_tuple(results: Sequence[Any]) -> Any:
    return results[0] if len(results) == 1 else tuple(results)


@translates("map")
def map_rows(*values: Any, body: sm.Graph, sequences: int) -> Any:
    rows, shared = [jnp.asarray(x) for x in values[:sequences]], values[sequences:]
    return one_or_tuple(jax.lax.map(lambda row: _traced_results(body, [*row, *shared]), rows))


@translates("branch")
def branch(index: Any, *values: Any, branches: Sequence[sm.Graph]) -> Any:
    def taken(body: sm.Graph) -> Callable[[], Any]:
        return lambda: _traced_results(body, values)

    if isinstance(index, (np.integer, np.ndarray)):
        return one_or_tuple(taken(branches[int(index)])())
    return one_or_tuple(jax.lax.switch(index, [taken(body) for body in branches]))


@translates("scan")
def scan(steps: Any, *values: Any, body: sm.Graph, carries: int, sequences: int,
         backwards: bool, **_: Any) -> Any:  # fmt: skip
    end = carries + sequences
    first, rows, shared = values[:carries], values[carries:end], values[end:]

    def step(carry: Any, row: Any) -> Any:
        made = _traced_results(body, [*carry, *row, *shared])
        return made[:carries], made[carries:]

    carry = _first_carry(body, first)
    sequences_ = [jnp.asarray(row) for row in rows]
    last, stacks = jax.lax.scan(step, carry, sequences_, int(steps), reverse=backwards)
    return one_or_tuple([*last, *stacks])


def _first_carry(body: sm.Graph, first: Sequence[Any]) -> list[Any]:
    pairs = zip(body.outputs, first, strict=False)
    return [jnp.asarray(value, node.type.dtype) for node, value in pairs]


@translates("while_loop")
def while_loop(*values: Any, body: sm.Graph, condition: sm.Graph, carries: int, **_: Any) -> Any:
    """A scan of so many steps, of which those after the end change nothing: JAX transposes it."""
    first, shared = _first_carry(body, values[:carries]), values[carries:]

    def goes_on(carry: Sequence[Any]) -> Any:
        return evaluate(condition, [*carry, *shared])[0]

    def run(carry: list[Any]) -> tuple[list[Any], list[Any]]:
        made = _traced_results(body, [*carry, *shared])
        return made[:carries], made[carries:]

    def rest(carry: list[Any]) -> tuple[list[Any], list[Any]]:
        outputs = jax.eval_shape(run, carry)[1]
        return carry, [jnp.zeros(x.shape, x.dtype) for x in outputs]

    def step(carry: list[Any], _: None) -> Any:
        more = goes_on(carry)
        carry, outputs = jax.lax.cond(more, run, rest, carry)
        return carry, (more, outputs)

    last, (steps, stacks) = jax.lax.scan(step, first, None, MOST_STEPS)
    ended = jnp.logical_not(goes_on(last))
    last = [jnp.where(ended, x, jnp.nan) if x.dtype.kind == "f" else x for x in last]
    return WhileResults(last, stacks, jnp.sum(steps))


@dataclass(frozen=True)
class WhileResults:
    """The results of a while loop; reading those of its steps needs a number that is known."""

    last: Sequence[Any]
    stacks: Sequence[Any]
    count: Any

    def __getitem__(self, key: int) -> Any:
        every = [*self.last, *self.stacks, self.count]
        is_stack = len(self.last) <= key < len(every) - 1
        return every[key][: int(self.count)] if is_stack else every[key]


MOST_STEPS = 32
"""Of a while loop; it is NaN if there are more."""


@translates("fused")
def fused(*values: Any, body: sm.Graph, **_: Any) -> Any:
    results = tuple(evaluate(body, values))
    return results[0] if len(results) == 1 else results


@translates("nan_on_failure")
def nan_on_failure(*values: Any, op: Op) -> Any:
    """JAX gives NaN on its own."""
    return translation_of(op)(*values, **op.attributes())


# The interpreter


class NotTranslated(NotImplementedError):
    """An op is not known here; the message says which, and what to write where."""


def translation_of(op: Op) -> Callable[..., Any]:
    """Return what an op is in JAX.

    Raises
    ------
    NotTranslated
        If it is nothing there, or nobody has said what.
    """
    found = TABLE.get(op.name) or same_name(op.name)
    if found is None:
        raise NotTranslated(UNTRANSLATED.get(op.name) or missing(op.name))
    return found


def same_name(name: str) -> Callable[..., Any] | None:
    """Return JAX's function of the same name as an elementwise op, which needs no row here."""
    op_class = OP_CLASSES.get(name)
    if op_class is None or not issubclass(op_class, Elementwise) or name in UNTRANSLATED:
        return None
    modules = (jnp, special, jax.nn)
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)


def missing(*names: str) -> str:
    """Return what to do about ops that are not known here."""
    return (
        f"The comparison with JAX does not know {', '.join(names)}: write in "
        "tests/support/jax_interpreter.py what it is in JAX (TABLE, or SAME_NAME if jax.numpy has "
        "it by that name), or why it is nothing there (UNTRANSLATED)."
    )


def _may_be_size(value: Any) -> bool:
    """Return whether a value is one integer that JAX does not trace."""
    known = isinstance(value, (np.generic, np.ndarray, int))
    return known and np.ndim(value) == 0 and np.result_type(value).kind in "iu"


def evaluate(graph: sm.Graph, values: Sequence[Any]) -> list[Any]:
    """Return the outputs of ``graph`` for values of its inputs.

    Sizes, and what is made of them and of constants, are numbers, which NumPy computes.
    """
    known: dict[Node, Any] = dict(zip(graph.inputs, values, strict=True))
    numbers = {x for x, value in known.items() if _may_be_size(value)}
    for node in graph.nodes:
        if node in known:
            continue
        if isinstance(node, Constant):
            is_number = node.type.dtype.kind in "iub"
            known[node] = node.value if is_number else jnp.asarray(node.value)
        else:
            assert node.op is not None
            is_number = node.op.name in SIZES or all(x in numbers for x in node.inputs)
            arguments = [known[source] for source in node.inputs]
            if is_number and node.op.name not in SIZES:
                known[node] = kernel_of(node.op)(*arguments)
            else:
                function = translation_of(node.op)
                known[node] = function(*_promoted(node, arguments), **node.op.attributes())
        if is_number:
            numbers.add(node)
    return [known[output] for output in graph.outputs]


SIZES = {"axis_size", "shape", "size"}
PROMOTING = {
    "concat", "convolve", "einsum", "matmul", "matmul_left_adjoint", "matmul_right_adjoint",
    "solve", "solve_sylvester", "solve_triangular", "stack",
}  # fmt: skip
"""Ops of operands of several dtypes, beside those that work element by element."""


def _promoted(node: Node, operands: list[Any]) -> list[Any]:
    """Return operands in the dtype in which NumPy computes; JAX promotes by rules of its own."""
    assert node.op is not None
    promotes = isinstance(node.op, PerElement) or node.op.name in PROMOTING
    if not promotes or not isinstance(node.type, TensorType):
        return operands
    masks = operands[:1] if node.op.name == "where" else []
    rest = operands[len(masks) :]
    dtype = node.type.dtype
    if dtype.kind == "b":
        dtype = np.result_type(*(x.dtype for x in rest))
    return [*masks, *(jnp.asarray(x).astype(dtype) for x in rest)]


@dataclass(frozen=True)
class Request:
    """Asks for the outputs of ``graph`` at ``values`` of its inputs, and for gradients.

    These are of Σ ⟨seed, output⟩ over the outputs that have a seed, by the inputs ``xs``.
    """

    graph: sm.Graph
    values: Sequence[Any]
    xs: Sequence[Node]
    seeds: Mapping[Node, Any]


def values_and_gradients(request: Request) -> tuple[list[Any], list[Any]]:
    """Return what a request asks for."""
    graph, seeds = request.graph, request.seeds
    held = dict(zip(graph.inputs, request.values, strict=True))

    def total(moving: Sequence[Any]) -> tuple[Any, Any]:
        fed = {**held, **dict(zip(request.xs, moving, strict=True))}
        results = evaluate(graph, [fed[node] for node in graph.inputs])
        pairs = zip(graph.outputs, results, strict=True)
        terms = [jnp.sum(seeds[output] * y) for output, y in pairs if output in seeds]
        return sum(terms, jnp.zeros(())), results

    moving = [jnp.asarray(held[x]) for x in request.xs]
    gradients, results = jax.grad(total, has_aux=True)(moving)
    return results, gradients


def to_order_two(request: Request, turns: Sequence[Any]) -> list[Any]:
    """Return outputs, gradients, and the gradients of Σ ⟨turn, gradient⟩ over these."""

    def turned(moving: Sequence[Any]) -> tuple[Any, Any]:
        fed = dict(zip(request.graph.inputs, request.values, strict=True))
        fed.update(zip(request.xs, moving, strict=True))
        values = [fed[node] for node in request.graph.inputs]
        results, gradients = values_and_gradients(replace(request, values=values))
        terms = [jnp.sum(turn * slope) for turn, slope in zip(turns, gradients, strict=True)]
        return sum(terms, jnp.zeros(())), (results, gradients)

    moving = [request.values[request.graph.inputs.index(x)] for x in request.xs]
    second, (results, gradients) = compiled(jax.grad(turned, has_aux=True), moving)
    return [*results, *gradients, *second]


def run(graph: sm.Graph, values: Sequence[Any]) -> list[Any]:
    """Return the outputs of ``graph``; compiling all ops at once is faster than one by one.

    Raises
    ------
    NotTranslated
        If an op is not known here, or a size or a bound is an input, or depends on one.
    """
    sizes = {k: v for k, v in enumerate(values) if _may_be_size(v)}
    moving = {k: v for k, v in enumerate(values) if k not in sizes}

    def results(given: Mapping[int, Any]) -> list[Any]:
        return evaluate(graph, [{**given, **sizes}[k] for k in range(len(values))])

    try:
        return compiled(results, moving)  # type: ignore[no-any-return]
    except UNKNOWN_SIZES as error:
        if not any(isinstance(node.op, While) for node in graph.nodes):
            raise NotTranslated(str(error)) from None
    try:  # op by op, the number of steps of a loop is known after it
        with np.errstate(all="ignore"):
            return results({k: jnp.asarray(v) for k, v in moving.items()})
    except UNKNOWN_SIZES as error:
        raise NotTranslated(str(error)) from None


UNKNOWN_SIZES = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.TracerArrayConversionError,
)


def compiled(function: Callable[..., Any], values: Any, but: Sequence[str] = ()) -> Any:
    """Return what a function gives, compiled with :data:`OPTIONS` but some, if XLA can."""
    options = {name: value for name, value in _options().items() if name not in but}
    with np.errstate(all="ignore"):  # JAX converts constants by NumPy
        try:
            return jax.jit(function, compiler_options=options)(values)
        except jax.errors.JaxRuntimeError as error:
            if "INTERNAL" not in str(error):
                raise
            return jax.jit(function)(values)


@cache
def _options() -> dict[str, Any]:
    """Return those of :data:`OPTIONS` that this version of XLA has."""
    known = {}
    for name, value in OPTIONS.items():
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            jax.jit(jnp.negative, compiler_options={name: value})(1.0)
            known[name] = value
    return known


OPTIONS = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_disable_hlo_passes": "algsimp",
    "xla_allow_excess_precision": False,
    "xla_cpu_experimental_ynn_fusion_type": "",
}
"""XLA compiles in a third of the time, does not take NaN times False for 0, rounds float16, and
does not crash the process as 0.10.2 and 0.11.0 do in some sums of products (jax-ml/jax#39257)."""


NOISE = {"ulps": 64, "flushes": True}
"""By how many units in the last place JAX's functions err, gammaln in float32 the most; numbers
that are too small to be normal are 0 there."""


IN_ANY_ORDER = {
    "sum", "mean", "var", "std", "prod", "cumsum", "cumprod", "linear_recurrence", "matmul",
    "matmul_left_adjoint", "matmul_right_adjoint", "einsum", "sum_like", "add_n", "norm",
}  # fmt: skip
"""Where partial results overflow, or are too small, depends on the order; and JAX adds float16 in
float32."""

NAN_AT_POLES = {"gammaln", "digamma"}


def is_reference(graph: sm.Graph, values: Sequence[Any]) -> bool:
    """Return whether JAX computes what NumPy and SciPy do: not where functions are at their limit.

    Its ``polygamma`` is 0 for small values, its ``zeta`` is NaN for x < 1, running sums in float16
    stop growing elsewhere, and special functions are compared where all operands are ordinary
    numbers.
    """
    ops = [(node, _names(node.op)) for node in graph.nodes if node.op is not None]
    half = np.dtype("float16")
    for node, names in ops:
        in_half = half in _dtypes(node) and names & (RUNNING | SPECIAL)
        in_body = isinstance(node.op, WithBody) and names & SPECIAL
        if in_half or in_body or names & {"polygamma", "polygamma_step", "zeta"}:
            return False
    limited = [node for node, names in ops if names & (IN_ANY_ORDER | NAN_AT_POLES)]
    special = [x for node, names in ops if names & SPECIAL for x in (node, *node.inputs)]
    found = sm.compile(list(graph.inputs), [*limited, *special], backend="numpy")(*values)
    return all(map(_is_in_range, limited, found)) and all(
        np.all((np.abs(x) > 1e-3) & (np.abs(x) < 1e3)) for x in found[len(limited) :]
    )


SPECIAL = {
    name for name, op in OP_CLASSES.items()
    if op.__module__.startswith("symad.ops.special") and op.__module__ != "symad.ops.special"
} | {"logsumexp_slope"}  # fmt: skip
"""Functions that JAX has no value for at some zeros and infinities, or not to the last digits."""


def _names(op: Op) -> set[str]:
    """Return the names of an op and of those in its bodies."""
    inside = [node.op for body in getattr(op, "bodies", ()) for node in body.nodes if node.op]
    return {op.name}.union(*map(_names, inside))


def _dtypes(node: Node) -> set[Any]:
    return {x.dtype for x in (node, *node.inputs) if isinstance(x.type, TensorType)}


def _is_in_range(node: Node, value: Any) -> bool:
    """Return whether all is finite, and no product is too small to be a normal number."""
    assert node.op is not None
    if is_nested(value):
        return all(_is_in_range(node, leaf) for leaf in leaves(value) if leaf is not None)
    if np.asarray(value).dtype.kind != "f":
        return True
    least = np.finfo(value.dtype).tiny if "prod" in node.op.name else 0.0
    return bool(np.all(np.isfinite(value) & (np.abs(value) >= least)))


def answer(requests: Sequence[Request]) -> list[Any]:
    """Return what requests ask for, or the error of each that fails.

    They are compiled all at once, which is many times as fast as op by op.  A request is run op by
    op if it cannot be compiled because an op reads a value that only a run knows.
    """
    apart: set[int] = set()

    def traced(place: int, moving: Mapping[Node, Any]) -> Any:
        request = requests[place]
        pairs = zip(request.graph.inputs, request.values, strict=True)
        values = [moving.get(node, value) for node, value in pairs]
        try:
            return values_and_gradients(replace(request, values=values))
        except Exception:
            apart.add(place)
            return None

    moving = [
        {k: v for k, v in enumerate(request.values) if np.asarray(v).dtype.kind == "f"}
        for request in requests
    ]
    found = compiled(
        lambda given: [
            traced(place, {requests[place].graph.inputs[k]: v for k, v in values.items()})
            for place, values in enumerate(given)
        ],
        moving,
        but=["xla_disable_hlo_passes"],  # without algsimp, 0.10.2 crashes on scatters of one number
    )
    return [_alone(requests[k]) if k in apart else found[k] for k in range(len(requests))]


def _alone(request: Request) -> Any:
    with np.errstate(all="ignore"):
        try:
            return values_and_gradients(request)
        except Exception as error:
            return error
