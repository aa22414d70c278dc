"""What each op is in JAX.

An elementwise op is JAX's function of the same name, if there is one; :data:`TABLE` has the others.
Graphs are specialised before they are translated, so ops that depend on shapes alone have vanished.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, reduce
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from symad.errors import MissingExtraError
from symad.graph.op import Op
from symad.ops.base import Elementwise
from symad.ops.inverse import nan_if_not_finite
from symad.ops.subscript import count_holes, fill_key

Translation = Callable[..., Any]
"""A function of JAX arrays, with the attributes of the op as keywords."""


class _OnFirstUse:
    """A module that is imported when something in it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, key: str) -> Any:
        return getattr(import_module(self._name), key)


jax, jnp, lax = _OnFirstUse("jax"), _OnFirstUse("jax.numpy"), _OnFirstUse("jax.lax")
special, nn = _OnFirstUse("jax.scipy.special"), _OnFirstUse("jax.nn")
linalg, scipy_linalg = _OnFirstUse("jax.numpy.linalg"), _OnFirstUse("jax.scipy.linalg")


def require_jax() -> None:
    """Raise an error if JAX is not installed.

    Raises
    ------
    MissingExtraError
    """
    if find_spec("jax") is None:
        raise MissingExtraError("JAX is not installed", remedy="pip install jax")


def in_64_bits() -> AbstractContextManager[Any]:
    """Return a context in which JAX has 64 bits; other code and threads see nothing of it."""
    made: AbstractContextManager[Any] = (
        nullcontext() if jax.config.jax_enable_x64 else jax.enable_x64(True)
    )
    return made


TABLE: dict[str, Translation] = {}
"""From the name of an op to what it is in JAX."""


def translation_of(op: Op) -> Translation | None:
    """Return what an op is in JAX, ``None`` if JAX has nothing for it."""
    if op.name in TABLE:
        return TABLE[op.name]
    if isinstance(op, Elementwise) and op.name not in _OTHERS_BY_THAT_NAME:
        for module in (jnp, special, nn):
            if hasattr(module, op.name):
                function: Translation = getattr(module, op.name)
                return function
    return None


_OTHERS_BY_THAT_NAME = {"hyp1f1", "hyp2f1"}
"""Functions of JAX's whose series lose all digits for some arguments."""


def translates(*names: str) -> Callable[[Translation], Translation]:
    """Put a function in the table."""

    def put(function: Translation) -> Translation:
        TABLE.update(dict.fromkeys(names, function))
        return function

    return put


def floating(x: Any) -> Any:
    """Return ``x`` as NumPy's functions of floats take integers."""
    return x if np.dtype(x.dtype).kind == "f" else jnp.asarray(x).astype(jnp.result_type(float))


def _named(module: Any, names: str, convert: Callable[[Any], Any] = lambda x: x) -> None:
    """Enter functions that JAX has under the names of the ops, with the same attributes."""

    def entry(name: str) -> Translation:
        return lambda x, *rest, **attributes: getattr(module, name)(
            convert(x), *rest, **attributes
        )

    TABLE.update((name, entry(name)) for name in names.split())


_named(
    jnp,
    "all any argmax argmin convolve diag diagonal expand_dims flip matrix_transpose moveaxis prod "
    "roll squeeze sum swapaxes tile transpose tril triu",
)
_named(jnp, "mean var", floating)
_named(linalg, "cholesky eigvalsh inv pinv svdvals", floating)


def _widely(function: Translation) -> Translation:
    """Return a function of numbers that adds up float16 in float32, which neither overflows."""

    def translation(x: Any, *rest: Any, **attributes: Any) -> Any:
        x = floating(x)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return function(wide, *rest, **attributes).astype(x.dtype)

    return translation


_WIDE = {"std": jnp.std, "softmax": nn.softmax, "log_softmax": nn.log_softmax}
TABLE |= {name: _widely(function) for name, function in _WIDE.items()}

TABLE |= {
    "identity": lambda x: x,
    "after": lambda x, earlier: x,
    "square_axes": lambda x, **_: x,
    "unit_length": lambda d, axis: d,
    "sized_axis": lambda x, **_: x,
    "stop_gradient": lambda x: lax.stop_gradient(x),
    "cast": lambda x, dtype: jnp.asarray(x).astype(canonical(dtype)),
    "reshape": lambda x, *sizes, shape: jnp.reshape(x, _filled(shape, sizes)),
    "broadcast_to": lambda x, *sizes, shape: jnp.broadcast_to(x, _filled(shape, sizes)),
    "broadcast_like": lambda x, like: jnp.broadcast_to(x, np.shape(like)),
    "reshape_like": lambda x, like: jnp.reshape(x, np.shape(like)),
    "reshape_outer": lambda x, a, b: jnp.reshape(x, (*np.shape(a), *np.shape(b))),
    "concat": lambda *xs, axis: jnp.concatenate(xs, axis),
    "stack": lambda *xs, axis: jnp.stack(xs, axis),
    "einsum": lambda *xs, subscripts: jnp.einsum(subscripts, *xs),
    "repeat": lambda x, repeats, axis: jnp.repeat(x, np.array(repeats), axis),
    "permute_dims": lambda x, axes: jnp.transpose(x, [axis % np.ndim(x) for axis in axes]),
    "take_along_axis": lambda x, i, axis: jnp.take_along_axis(x, jnp.asarray(i), axis),
    "searchsorted": lambda x, v, side: jnp.searchsorted(x, v, side).astype(canonical("int64")),
    "one_hot": lambda i, depth, dtype: nn.one_hot(i, depth, dtype=canonical(dtype)),
    "arange": lambda *bounds, dtype: np.arange(*bounds, dtype=dtype),
    "item": lambda whole, key: whole[key],
    # Sizes are numbers, not arrays: JAX's shapes are static.
    "axis_size": lambda x, axis: np.int64(np.shape(x)[axis]),
    "shape": lambda x: np.array(np.shape(x), "int64"),
    "size": lambda x: np.int64(np.size(x)),
    "equal_part": lambda n, count: n // count,
    # Elementwise functions that JAX does not have
    "sigmoid": lambda x: nn.sigmoid(floating(x)),
    "log_cosh": lambda x: jnp.logaddexp(x, -x) - math.log(2),
    "log_ratio": lambda x, y: jnp.log(x / y),
    "power_slope": lambda x, c: jnp.where(c == 0, 0, c * x ** (c - 1)),
    "power_log": lambda y, x, c: y * jnp.log(jnp.where(x == 0, 1, x)),
    "power_mixed": lambda x, c: jnp.where(
        x == 0,
        jnp.where(c > 1, 0, jnp.where(c > 0, -jnp.inf, jnp.inf)),
        x ** (c - 1) * (1 + c * jnp.log(x)),
    ),
    "direction": lambda x, y: jnp.where(y == 0, 0, x / y),
    "hypot_slope": lambda x, r, y: jnp.where(r == 0, 0, x / r),
    "one_minus_square": lambda x: (1 - x) * (1 + x),
    "log1mexp": lambda x: jnp.where(
        x > -math.log(2), jnp.log(-jnp.expm1(x)), jnp.log1p(-jnp.exp(x))
    ),
    "xdivy": lambda x, y: x * jnp.where((x == 0) & (y == 0), 0, 1 / y),
    "polygamma": lambda x, n: jnp.where(x == jnp.inf, 0 if n else x, special.polygamma(n, x)),
    "polygamma_step": lambda a, b, n: special.polygamma(n, a + b) - special.polygamma(n, a),
    "expn": lambda x, n: _expn(floating(x), n),
    "exp1": lambda x: _expn(floating(x), 1),
    "exprel": lambda x: jnp.where(x == 0, 1, jnp.expm1(x) / jnp.where(x == 0, 1, x)),
    "inv_boxcox": lambda y, p: jnp.where(
        p == 0, jnp.exp(y), jnp.exp(jnp.log1p(p * y) / jnp.where(p == 0, 1, p))
    ),
    "boxcox": lambda x, p: jnp.where(
        p == 0, jnp.log(x), jnp.expm1(p * jnp.log(x)) / jnp.where(p == 0, 1, p)
    ),
    # Reductions
    "norm": _widely(linalg.vector_norm),
    "at_largest": lambda v, y, axis: jnp.max(
        jnp.where(y == jnp.max(y, axis, keepdims=True, initial=-jnp.inf), v, -jnp.inf),
        axis, keepdims=True, initial=-jnp.inf,
    ),
    "cummax": lambda x, axis, from_end: lax.cummax(x, axis % np.ndim(x), reverse=from_end),
    "cummin": lambda x, axis, from_end: lax.cummin(x, axis % np.ndim(x), reverse=from_end),
    # Linear algebra
    "det": lambda a: linalg.det(floating(a)) + nan_if_not_finite(a),
    "slogdet": lambda a: tuple(part + nan_if_not_finite(a) for part in linalg.slogdet(a)),
    "eigh": lambda a: tuple(linalg.eigh(a)),
    "qr": lambda a: tuple(linalg.qr(a)),
    "svd": lambda a: tuple(linalg.svd(a, full_matrices=False)),
    "expm": lambda a: jnp.vectorize(scipy_linalg.expm, signature="(n,n)->(n,n)")(floating(a)),
    "orthogonal_complement": lambda q: linalg.qr(q, mode="complete")[0][..., q.shape[-1] :],
    "to_columns": lambda x, like: x[..., None] if np.ndim(like) == 1 else x,
    "from_columns": lambda x, like: x[..., 0] if np.ndim(like) == 1 else x,
    "identity_matrix": lambda like: jnp.eye(like.shape[-1], dtype=like.dtype),
    "unit_vectors": lambda x: jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape),
}  # fmt: skip


def canonical(dtype: Any) -> Any:
    """Return the dtype that JAX has for one of symad's: of 32 bits, unless 64 are switched on."""
    return jax.dtypes.canonicalize_dtype(dtype)


def _filled(dims: Sequence[int | None], sizes: Sequence[Any]) -> tuple[int, ...]:
    rest = iter(sizes)
    return tuple(int(next(rest)) if dim is None else dim for dim in dims)


def _of_order(module_names: str) -> Translation:
    """Return a function of an order, which JAX has for the first few."""
    names = module_names.split()

    def run(x: Any, order: int) -> Any:
        if order >= len(names):
            raise NotImplementedError(f"JAX does not have order {order}")
        return getattr(special, names[order])(x)

    return run


TABLE |= {"bessel_i": _of_order("i0 i1"), "scaled_bessel_i": _of_order("i0e i1e")}


@translates("round")
def _round(x: Any, decimals: int) -> Any:
    if np.dtype(x.dtype).kind == "f" or decimals >= 0:
        return jnp.round(x, decimals)
    tens = 10.0**-decimals  # of integers, NumPy computes in floats as well
    return (jnp.round(floating(x) / tens) * tens).astype(x.dtype)


@translates("reciprocal")
def _reciprocal(x: Any) -> Any:
    """Of integers, it is rounded towards 0, and NumPy's choice at 0."""
    if np.dtype(x.dtype).kind == "f":
        return 1 / x
    with np.errstate(all="ignore"):
        at_zero = np.reciprocal(np.zeros((), x.dtype))
    return jnp.where(x == 0, at_zero, jnp.where(abs(x) == 1, x, 0).astype(x.dtype))


def _extremum(name: str) -> Translation:
    """Return an extremum that is NaN if an element is, which XLA forgets in large arrays."""

    def extremum(x: Any, axis: Any, keepdims: bool) -> Any:
        found = getattr(jnp, name)(x, axis=axis, keepdims=keepdims)
        if np.dtype(x.dtype).kind != "f":
            return found
        return jnp.where(jnp.any(jnp.isnan(x), axis=axis, keepdims=keepdims), jnp.nan, found)

    return extremum


TABLE |= {name: _extremum(name) for name in ("max", "min")}


@translates("binom")
def _binom(n: Any, k: Any) -> Any:
    upper, *lower = n + 1, k + 1, n - k + 1
    logarithm = special.gammaln(upper) - sum(map(special.gammaln, lower))
    return math.prod(map(_sign_of_gamma, (upper, *lower))) * jnp.exp(logarithm)


def _sign_of_gamma(x: Any) -> Any:
    """Return the sign of gamma(x), 1 at its poles."""
    return jnp.where(jnp.floor(jnp.minimum(x, 0)) % 2 == 1, -1, 1).astype(x.dtype)


@translates("rgamma")
def _rgamma(x: Any) -> Any:
    pole = (x <= 0) & (x == jnp.floor(x))
    return jnp.where(pole, 0, 1 / special.gamma(jnp.where(pole, 1, x)))


def _expn(x: Any, n: int) -> Any:
    """One element after another: JAX's series for an array may not end where one is near 0."""
    is_usual = (x > 0) & (x < jnp.inf)
    limits = jnp.where(x == 0, 1 / (n - 1) if n > 1 else jnp.inf, jnp.where(x > 0, 0, jnp.nan))
    elements = jnp.ravel(jnp.where(is_usual, x, 1))
    found = lax.map(lambda element: special.expn(n, element), elements)
    return jnp.where(is_usual, jnp.reshape(found, x.shape), limits).astype(x.dtype)


@cache
def _sigmoid_slope() -> Translation:
    """Return σ′ = e / (1 + e)², e = exp(-|x|), whose derivative is smooth: σ″ = -σ′ tanh(x/2)."""

    def slope(x: Any) -> Any:
        e = jnp.exp(-jnp.abs(x))
        return e / ((1 + e) * (1 + e))

    made: Any = jax.custom_jvp(slope)
    made.defjvps(lambda v, y, x: -v * y * jnp.tanh(x / 2))
    return made  # type: ignore[no-any-return]


TABLE["sigmoid_slope"] = lambda x: _sigmoid_slope()(x)
TABLE["tanh_slope"] = lambda x: 4 * _sigmoid_slope()(2 * x)


@cache
def _softplus() -> Translation:
    """Return max(x, 0) + log(1 + e), e = exp(-|x|), for which log1p takes XLA much longer."""

    def softplus(x: Any) -> Any:
        e = jnp.exp(-jnp.abs(x))
        return jnp.maximum(x, 0) + _log_of_sum(e)

    made: Any = jax.custom_jvp(softplus)
    made.defjvps(lambda v, y, x: v * nn.sigmoid(x))
    return made  # type: ignore[no-any-return]


def _log_of_sum(e: Any) -> Any:
    """Return log(1 + e) = 2 artanh(e / (2 + e)) to all digits for e from 0 to 1.

    All terms of the series are positive, so XLA may bracket them as it likes.
    """
    s = e / (2 + e)
    square = s * s
    terms = 16 if e.dtype == "float64" else 7  # since s² is 1/9 at most
    odd = [1 / (2 * k + 1) for k in range(terms)]
    return 2 * s * reduce(lambda total, c: total * square + c, reversed(odd))


TABLE["softplus"] = lambda x: _softplus()(floating(x))


@translates("sinc")
def _sinc(x: Any, order: int) -> Any:
    function, x = jnp.sinc, floating(x)
    for _ in range(order):
        function = _slope_of(function)
    if not order:
        return function(x)
    near_zero = jnp.polyval(jnp.asarray(np.polyder(_SINC_SERIES, order), x.dtype), x)
    return jnp.where(abs(x) < 0.3, near_zero, function(x))  # where differences lose digits


_SINC_SERIES = np.array([
    (-1) ** (k // 2) * math.pi**k / math.factorial(k + 1) if k % 2 == 0 else 0.0
    for k in range(26, -1, -1)
])  # fmt: skip
"""The coefficients of sinc at 0, the highest power first."""


def _slope_of(function: Translation) -> Translation:
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def _dividing(name: str) -> Translation:
    """Return a division as NumPy's: of integers by 0 it is 0, and zeros have NumPy's signs.

    The least integer by -1 is itself; XLA crashes where it divides them at compile time.
    """

    def divide(x: Any, y: Any) -> Any:
        function, kind = getattr(jnp, name), jnp.result_type(x, y).kind
        if kind == "f":
            found, sign = function(x, y), {"floor_divide": x / y, "mod": y, "fmod": x}[name]
            return jnp.where(found == 0, jnp.copysign(found, sign), found)
        divisor = jnp.where(y == 0, 1, y)
        if kind != "i":
            return jnp.where(y == 0, 0, function(x, divisor))
        by_minus_one = -x if name == "floor_divide" else jnp.zeros_like(x)
        found = function(x, jnp.where(y == -1, 1, divisor))
        return jnp.where(y == 0, 0, jnp.where(y == -1, by_minus_one, found))

    return divide


TABLE |= {name: _dividing(name) for name in ("floor_divide", "mod", "fmod")}


@translates("threefry")
def _threefry(*words: Any, part: str) -> Any:
    bind = import_module("jax.extend.random").threefry2x32_p.bind
    given = jnp.broadcast_arrays(*(jnp.asarray(word).astype("uint32") for word in words))
    x, y = bind(*given)
    if part == "joined":
        if canonical("uint64") != "uint64":
            raise NotImplementedError(
                "random bits of 64 bits need jax_enable_x64; floats of dtype='float32' do not"
            )
        return (x.astype(canonical("uint64")) << 32) | y
    return {"first": x, "second": y, "mixed": x ^ y}[part]


def _exponentials(x: Any, axis: Any) -> tuple[Any, Any, Any]:
    """Return a shift, the exponentials of x without it, and their sum.

    XLA computes them once for functions that have them in common.
    """
    top = lax.stop_gradient(jnp.max(x, axis=axis, keepdims=True, initial=-jnp.inf))
    shift = jnp.where(jnp.isfinite(top), top, 0)
    exponentials = jnp.exp(x - shift)
    return shift, exponentials, jnp.sum(exponentials, axis=axis, keepdims=True)


@translates("logsumexp")
@_widely
def _logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    shift, _, total = _exponentials(x, axis)
    result = jnp.log(total) + shift
    return result if keepdims else jnp.squeeze(result, axis)


@translates("logsumexp_slope")
@_widely
def _logsumexp_slope(x: Any, axis: Any) -> Any:
    _, exponentials, total = _exponentials(x, axis)
    return exponentials / jnp.where(total == 0, 1, total)


@translates("argsort")
def _argsort(x: Any, axis: int, descending: bool) -> Any:
    """NaN comes last in ascending order, and first in descending order."""
    if not descending:
        return jnp.argsort(x, axis=axis, stable=True)
    turned = jnp.argsort(jnp.flip(x, axis), axis=axis, stable=True)
    return x.shape[axis] - 1 - jnp.flip(turned, axis)


@translates("sort")
def _sort(x: Any, axis: int, descending: bool) -> Any:
    ordered = jnp.sort(x, axis)
    return jnp.flip(ordered, axis) if descending else ordered


@translates("add_n")
def _add_n(*terms: Any) -> Any:
    there = [term for term in terms if term is not None]
    if not there or not isinstance(there[0], (dict, list, tuple)):
        return sum(there[1:], there[0]) if there else None
    if isinstance(there[0], dict):
        return {key: _add_n(*(term[key] for term in there)) for key in there[0]}
    return type(there[0])(_add_n(*items) for items in zip(*there, strict=True))


@translates("make_structure")
def _make_structure(
    *items: Any, kind: str, keys: Sequence[Any], present: Sequence[bool]
) -> Any:
    rest = iter(items)
    values = [next(rest) if there else None for there in present]
    return dict(zip(keys, values, strict=True)) if kind == "dict" else tuple(values)


@translates("element_count")
def _element_count(x: Any, axis: Any, correction: float) -> Any:
    count = np.size(x) if axis is None else np.prod([np.shape(x)[a] for a in np.atleast_1d(axis)])
    return jnp.maximum(jnp.asarray(count - correction, x.dtype), 0)


# Indexing


def _place(key: Sequence[Any], indices: Sequence[Any]) -> tuple[Any, ...]:
    """Return a subscript; bounds of slices are numbers."""
    found = fill_key(tuple(key), indices)
    bounds = ("start", "stop", "step")
    return tuple(
        slice(*(None if (b := getattr(part, name)) is None else int(b) for name in bounds))
        if isinstance(part, slice)
        else part
        for part in found
    )


@translates("index", "array_index")
def _index(x: Any, *indices: Any, key: Any) -> Any:
    return jnp.asarray(x)[_place(key, indices)]


def _is_basic(place: tuple[Any, ...]) -> bool:
    """Return whether a subscript selects a block or a grid, without arrays of indices."""
    return all(np.ndim(part) == 0 or isinstance(part, slice) for part in place)


def _added_to_zeros(v: Any, shape: tuple[int, ...], place: tuple[Any, ...]) -> Any:
    """Return zeros to which v is added at a subscript; XLA writes blocks faster than elements."""
    zeros = jnp.zeros(shape, v.dtype)
    if not _is_basic(place):
        return zeros.at[place].add(v)
    selected = jax.eval_shape(lambda x: x[place], zeros).shape
    return transposed(lambda x: x[place])(jnp.broadcast_to(v, selected), zeros)


@translates("add_at")
def _add_at(x: Any, value: Any, *indices: Any, key: Any) -> Any:
    place = _place(key, indices)
    v = jnp.asarray(value, x.dtype)
    if _is_basic(place):
        return x + _added_to_zeros(v, np.shape(x), place)
    return jnp.asarray(x).at[place].add(v)


@translates("set_at")
def _set_at(x: Any, value: Any, *indices: Any, key: Any) -> Any:
    return jnp.asarray(x).at[_place(key, indices)].set(jnp.asarray(value, x.dtype))


@translates("scatter_add")
def _scatter_add(v: Any, like: Any, *indices: Any, key: Any) -> Any:
    return _added_to_zeros(v, np.shape(like), _place(key, indices))


@translates("scatter_sum")
def _scatter_sum(*inputs: Any, keys: Any) -> Any:
    values, shape = inputs[: len(keys)], np.shape(inputs[len(keys)])
    rest, terms = iter(inputs[len(keys) + 1 :]), []
    for key, v in zip(keys, values, strict=True):
        place = _place(key, [*itertools.islice(rest, count_holes(key))])
        terms.append(_added_to_zeros(v, shape, place))
    return sum(terms[1:], terms[0])


# Transposes of linear ops, which JAX derives


def transposed(function: Translation) -> Translation:
    """Return the transpose of a function that is linear in its first argument.

    It takes what comes back, an array of the shape that it returns, and the other arguments.
    """

    def run(v: Any, like: Any, *others: Any, **attributes: Any) -> Any:
        moving = floating(v)  # JAX transposes nothing of integers
        zeros = jnp.zeros(np.shape(like), moving.dtype)
        pull = jax.vjp(lambda x: function(x, *others, **attributes), zeros)[1]
        return pull(moving)[0].astype(v.dtype)

    return run


@translates("pad")
def _pad(x: Any, widths: Any, mode: str, value: Any = 0) -> Any:
    constant = {"constant_values": value} if mode == "constant" else {}
    return jnp.pad(x, widths, mode, **constant)


@translates("windows")
def _windows(x: Any, sizes: Any, steps: Any, gaps: Any) -> Any:
    rank, places = len(sizes), []
    for d, (size, step, gap) in enumerate(zip(sizes, steps, gaps, strict=True)):
        count = (x.shape[d - rank] - gap * (size - 1) - 1) // step + 1
        shape = [1] * (2 * rank)
        shape[d], shape[rank + d] = size, count
        places.append(np.add.outer(np.arange(size) * gap, np.arange(count) * step).reshape(shape))
    return x[(..., *places)]


@translates("matmul")
def _matmul(x: Any, y: Any) -> Any:
    if np.shape(x)[-1]:
        return jnp.matmul(x, y)
    form = jax.eval_shape(jnp.matmul, x, y)  # XLA fails on sums of no terms
    return jnp.zeros(form.shape, form.dtype)


@translates("sum_like")
def _sum_like(v: Any, like: Any) -> Any:
    return transposed(lambda x: jnp.broadcast_to(x, np.shape(v)))(v, like)


@translates("matmul_left_adjoint")
def _matmul_left_adjoint(v: Any, x: Any, y: Any) -> Any:
    return transposed(lambda left: jnp.matmul(left, y))(v, x)


@translates("matmul_right_adjoint")
def _matmul_right_adjoint(v: Any, x: Any, y: Any) -> Any:
    return transposed(lambda right: jnp.matmul(x, right))(v, y)


@translates("index_last")
def _index_last(x: Any, *indices: Any, key: Any) -> Any:
    place = _place(key, indices)
    written = transposed(lambda value: jnp.zeros_like(x).at[place].set(value))
    return written(x, jnp.asarray(x)[place])


for _transposed, _of in {
    "add_along_axis": "take_along_axis", "pad_sum": "pad", "window_sum": "windows",
    "repeat_sum": "repeat", "tile_sum": "tile", "diagonal_place": "diagonal",
}.items():  # fmt: skip
    TABLE[_transposed] = transposed(TABLE[_of])


@translates("concat_part")
def _concat_part(v: Any, *xs: Any, axis: int, part: int) -> Any:
    ends = list(itertools.accumulate(np.shape(x)[axis] for x in xs))
    return jnp.split(v, ends[:-1], axis)[part]


@translates("concat_place")
def _concat_place(v: Any, *xs: Any, axis: int, part: int) -> Any:
    parts = [v if i == part else jnp.zeros(np.shape(x), v.dtype) for i, x in enumerate(xs)]
    return jnp.concatenate(parts, axis)


# Cumulative


@translates("cumsum")
def _cumsum(x: Any, axis: int, from_end: bool) -> Any:
    dtype = canonical(np.cumsum(np.ones(1, x.dtype)).dtype)
    return lax.cumsum(jnp.asarray(x, dtype), axis % x.ndim, reverse=from_end)


@translates("cumprod")
def _cumprod(x: Any, axis: int, from_end: bool, exclusive: bool) -> Any:
    rows = jnp.moveaxis(jnp.asarray(x), axis, 0)
    rows = rows[::-1] if from_end else rows
    if exclusive:
        rows = jnp.concatenate([jnp.ones_like(rows[:1]), rows[:-1]])
    dtype = canonical(np.cumprod(np.ones(1, rows.dtype)).dtype)
    products = jnp.cumprod(rows, 0, dtype=dtype)
    return jnp.moveaxis(products[::-1] if from_end else products, 0, axis)


@translates("linear_recurrence")
def _linear_recurrence(a: Any, b: Any, axis: int, from_end: bool) -> Any:
    a, b = (jnp.moveaxis(x, axis, 0) for x in jnp.broadcast_arrays(a, b))

    def step(state: Any, pair: tuple[Any, Any]) -> tuple[Any, Any]:
        return pair[0] * state + pair[1], state

    rows = lax.scan(step, jnp.zeros_like(b[0]), (a, b), reverse=from_end)[1] if len(b) else b
    return jnp.moveaxis(rows, 0, axis)


# Linear algebra


@translates("solve")
def _solve(a: Any, b: Any) -> Any:
    return linalg.solve(a, b) if b.ndim > 1 else linalg.solve(a, b[:, None])[..., 0]


@translates("solve_triangular")
def _solve_triangular(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    columns = b[:, None] if b.ndim == 1 else b
    facts = {"left_side": True, "lower": lower, "unit_diagonal": unit_diagonal}
    result = triangular_solution(a, columns, **facts)
    return result[..., 0] if b.ndim == 1 else result


def triangular_solution(a: Any, b: Any, **facts: Any) -> Any:
    """Return what LAPACK makes of a triangular matrix and a right-hand side, or stacks of them."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
    return lax.linalg.triangular_solve(a, b, **facts)


@translates("sqrtm")
def _sqrtm(a: Any) -> Any:
    """NaN if the root is not real, apart from rounding."""
    root = scipy_linalg.sqrtm(floating(a))
    most = jnp.finfo(root.real.dtype).eps ** 0.5 * jnp.max(jnp.abs(root), initial=0)
    return jnp.where(jnp.any(jnp.abs(root.imag) > most), jnp.nan, root.real)


@translates("lu")
def _lu(a: Any) -> Any:
    stack = jnp.reshape(floating(a), (-1, *a.shape[-2:]))
    parts = jax.vmap(scipy_linalg.lu)(stack)
    return tuple(jnp.reshape(part, (*a.shape[:-2], *part.shape[-2:])) for part in parts)


@translates("convolve")
def _convolve(a: Any, v: Any) -> Any:
    """JAX convolves floats: integers are added up in their own dtype."""
    if jnp.issubdtype(a.dtype, jnp.inexact):
        return jnp.convolve(a, v)
    wide = jnp.pad(a, len(v) - 1)
    rows = np.arange(len(a) + len(v) - 1)[:, None] + np.arange(len(v))
    return wide[rows] @ v[::-1]


@translates("solve_sylvester")
def _solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """vec(A X + X B) = (1 ⊗ A + Bᵀ ⊗ 1) vec X, with the columns of X one after another."""
    system = jnp.kron(jnp.eye(len(b), dtype=a.dtype), a)
    system += jnp.kron(b.T, jnp.eye(len(a), dtype=b.dtype))
    return linalg.solve(system, q.T.ravel()).reshape(q.T.shape).T


@translates("cofactors")
def _cofactors(a: Any) -> Any:
    n = a.shape[-1]
    rest = [np.array([k for k in range(n) if k != i], "int64") for i in range(n)]
    minors = [
        [(-1) ** (i + j) * linalg.det(a[..., rest[i][:, None], rest[j]]) for j in range(n)]
        for i in range(n)
    ]
    return jnp.stack([jnp.stack(row, -1) for row in minors], -2) if n else a


@translates("sparse_matmul")
def _sparse_matmul(data: Any, columns: Any, ends: Any, x: Any, shape: Any, on_left: bool) -> Any:
    """Each stored element is multiplied by a row of ``x``, and added to a row of the result."""
    rows = np.repeat(np.arange(shape[0]), np.diff(np.asarray(ends)))
    read, written = (np.asarray(columns), rows) if on_left else (rows, np.asarray(columns))
    axis = -2 if on_left and np.ndim(x) > 1 else -1
    moved = jnp.moveaxis(x, axis, 0)
    taken = jnp.asarray(data).reshape(-1, *[1] * (moved.ndim - 1)) * moved[read]
    total = jnp.zeros((shape[not on_left], *moved.shape[1:]), taken.dtype)
    return jnp.moveaxis(total.at[written].add(taken), 0, axis)
