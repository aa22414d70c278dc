"""Random numbers as nodes: each is a function of a key, and the same key gives the same numbers.

A key is two uint32, as a node.  Use each key once: :func:`split` makes several keys of one, and
:func:`fold_in` one for each step of a loop.  The generator is Threefry-2x32; keys, bits and uniform
numbers equal those of ``jax.random`` bit for bit (with its default, partitionable form, and 64-bit
integers enabled), whichever backend runs.  A function may update a key that is a parameter::

    key = sm.parameter("key", sm.random.key(0).eval())
    now, later = sm.random.split(key)
    f = sm.compile([], sm.random.normal(now, (3,)), updates={key: later})

Keys have no derivative.  Samples are differentiable with respect to what scales and shifts them:
``mean + deviation * sm.random.normal(key, shape)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce, wraps
from operator import mul
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.functions.absent import absent
from symad.graph.node import Constant, Node, reporting
from symad.graph.op import explained
from symad.ops.adjoint import cast, stop_gradient
from symad.ops.arithmetic import abs, sign
from symad.ops.base import Operand, as_node, tensor_types
from symad.ops.comparison import clip, where
from symad.ops.create import arange
from symad.ops.cumulative import cumsum
from symad.ops.exponential import log, log1p
from symad.ops.extremum import argmax
from symad.ops.factorisation import cholesky
from symad.ops.floats import nextafter
from symad.ops.gather import take
from symad.ops.join import stack
from symad.ops.searching import searchsorted
from symad.ops.shape import expand_dims, reshape
from symad.ops.size import Size, as_sizes, check_not_negative
from symad.ops.size import shape as shape_of
from symad.ops.sorting import argsort
from symad.ops.special import erf, erfinv
from symad.ops.threefry import WORD, threefry
from symad.ops.trigonometric import tan
from symad.types import as_dtype, normalize_axis

__all__ = [
    "bernoulli", "bits", "categorical", "cauchy", "choice", "exponential", "fold_in", "gumbel",
    "key", "laplace", "logistic", "multivariate_normal", "normal", "permutation", "rademacher",
    "randint", "split", "truncated_normal", "uniform",
]  # fmt: skip

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def _of_key(function: AnyFunction) -> AnyFunction:
    """Return a function that checks its key first, and whose errors name it."""
    function = explained(function)

    @wraps(function)
    def checked(key: Node, *args: Any, **keywords: Any) -> Any:
        with reporting(function.__name__, *[x for x in (key, *args) if isinstance(x, Node)]):
            _words_of(key)
            return function(key, *args, **keywords)

    return explained(checked)  # type: ignore[return-value]


# Keys


@explained
def key(seed: Operand) -> Node:
    """Return a key: two uint32 that hold the 64 bits of ``seed``.

    Parameters
    ----------
    seed : int or integer node
        From -2**63 to 2**64 - 1.

    Raises
    ------
    GraphTypeError
        If the seed is not one integer.

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.key(7).eval()
    array([0, 7], dtype=uint32)
    """
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        with reporting("key"):
            if not -(2**63) <= seed < 2**64:
                raise GraphTypeError(f"a seed has 64 bits, and {seed} does not fit")
        return Constant(np.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], WORD))
    with reporting("key"):
        node = _integer(seed, "a seed")
    wide = node.dtype.itemsize == 8
    high = cast(node >> 32, WORD) if wide else Constant(0, WORD)
    return stack([high, cast(node, WORD)])


@_of_key
def split(key: Node, n: Any = 2) -> Node:
    """Return ``n`` new keys, made of one that must not be used again.

    Parameters
    ----------
    key : node
    n : int, integer node or shape
        How many; a shape gives an array of keys.

    Returns
    -------
    Node
        Of shape (n, 2): ``split(key)[0]`` is a key.

    Examples
    --------
    >>> import symad as sm
    >>> first, second = sm.random.split(sm.random.key(0))
    >>> first.eval()
    array([1797259609, 2579123966], dtype=uint32)
    """
    return stack([_bits(key, n, "first"), _bits(key, n, "second")], axis=-1)


@_of_key
def fold_in(key: Node, data: Operand) -> Node:
    """Return a key made of another and a number, such as the number of a step.

    Parameters
    ----------
    key : node
    data : int or integer node
        Its last 32 bits count.

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.fold_in(sm.random.key(0), 1).eval()
    array([ 928981903, 3453687069], dtype=uint32)
    """
    count = cast(_integer(data, "the number to fold in"), WORD)
    words = _words_of(key)
    return stack([threefry(*words, Constant(0, WORD), count, part) for part in ("first", "second")])


def _integer(value: Operand, what: str) -> Node:
    node = as_node(value)
    (type_,) = tensor_types(node.type)
    if type_.dtype.kind not in "iu" or type_.ndim not in (0, None):
        raise GraphTypeError(f"{what} must be one integer, not {node!r}")
    return node


def _words_of(key: Node) -> tuple[Node, Node]:
    node = as_node(key)
    (type_,) = tensor_types(node.type)
    if type_.dtype != WORD or (type_.ndim is not None and type_.shape != (2,)):
        raise GraphTypeError(
            f"a key must be two uint32, not {node!r}",
            remedy="Make it with sm.random.key(seed), or take one of sm.random.split(key).",
        )
    return node[0], node[1]


def _bits(key: Node, shape: Any, part: str) -> Node:
    """Return the bits of Threefry for the counters 0, 1, 2, ... in ``shape``."""
    words, sizes = _words_of(key), as_sizes(shape)
    check_not_negative(tuple(size for size in sizes if isinstance(size, int)))
    count: Size = reduce(mul, sizes, 1)
    if isinstance(count, int) and count > 2**32:
        raise ShapeError(f"{count} numbers are more than one key gives", remedy="Split the key.")
    return threefry(*words, Constant(0, WORD), reshape(arange(count, dtype=WORD), sizes), part)


@_of_key
def bits(key: Node, shape: Any = (), dtype: Any = "uint32") -> Node:
    """Return random bits, as unsigned integers of any size.

    Parameters
    ----------
    key : node
    shape : int, integer node, or sequence of these
    dtype : dtype
        uint8, uint16, uint32 or uint64.

    Raises
    ------
    GraphTypeError
        If the dtype is another one.

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.bits(sm.random.key(0), (2,)).eval()
    array([4070199207, 4202968722], dtype=uint32)
    """
    wanted = as_dtype(dtype)
    if wanted.kind != "u":
        raise GraphTypeError(f"random bits are unsigned integers, not {wanted}")
    return (
        _bits(key, shape, "joined")
        if wanted.itemsize == 8
        else cast(_bits(key, shape, "mixed"), wanted)
    )


# Numbers of one distribution without parameters, or with bounds


@_of_key
def uniform(
    key: Node,
    shape: Any = (),
    dtype: Any = "float64",
    minval: Operand = 0.0,
    maxval: Operand = 1.0,
) -> Node:
    """Return numbers that are uniform in [minval, maxval).

    Parameters
    ----------
    key : node
    shape : int, integer node, or sequence of these
    dtype : dtype
        float16, float32 or float64.
    minval, maxval : number, array or node
        They broadcast to ``shape`` and get gradients.  With other bounds than 0 and 1, rounding may
        give ``maxval`` itself.

    Raises
    ------
    GraphTypeError
        If the dtype is not a floating one.

    Notes
    -----
    All bits of the significand are random: there are 2**52, 2**23 or 2**10 different numbers.

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.uniform(sm.random.key(0), (2,), "float32").eval()
    array([0.947667 , 0.9785799], dtype=float32)
    """
    wanted = _floating(dtype)
    digits = np.finfo(wanted).nmant
    width = 8 * wanted.itemsize
    whole = bits(key, shape, f"uint{width}") >> (width - digits)
    fraction: Node = cast(whole, wanted) * wanted.type(2.0**-digits)
    low, high = _bounds(wanted, minval, maxval)
    if (
        not isinstance(low, Node)
        and not isinstance(high, Node)
        and np.all((low == 0) & (high == 1))
    ):
        return fraction
    result: Node = fraction * (high - low) + low
    return result


@_of_key
def normal(key: Node, shape: Any = (), dtype: Any = "float64") -> Node:
    """Return numbers of the standard normal distribution: √2 erf⁻¹(u), u uniform in (-1, 1).

    Parameters
    ----------
    key : node
    shape : int, integer node, or sequence of these
    dtype : dtype
        float16, float32 or float64.

    Examples
    --------
    A sample with a mean and a deviation that get gradients:

    >>> import symad as sm
    >>> mean, deviation = sm.Variable("mean", ()), sm.Variable("deviation", ())
    >>> y = mean + deviation * sm.random.normal(sm.random.key(0), (3,))
    >>> f = sm.compile([mean, deviation], sm.gradients(sm.sum(y), [mean, deviation]))
    >>> round(float(f(1.0, 2.0)[0]), 6)
    3.0
    """
    wanted = _floating(dtype)
    return _quantile(_symmetric(key, shape, wanted))


def _quantile(u: Node) -> Node:
    """Return √2 erf⁻¹(u)."""
    result: Node = cast(erfinv(u), u.dtype) * u.dtype.type(math.sqrt(2))
    return result


def _bounds(dtype: np.dtype[Any], *bounds: Operand) -> list[Any]:
    """Return each bound as a node or an array of ``dtype``."""
    return [cast(b, dtype) if isinstance(b, Node) else np.asarray(b, dtype) for b in bounds]


def _symmetric(key: Node, shape: Any, dtype: np.dtype[Any]) -> Node:
    """Return uniform numbers in (-1, 1)."""
    return uniform(key, shape, dtype, np.nextafter(dtype.type(-1), dtype.type(0)), dtype.type(1))


def _positive(key: Node, shape: Any, dtype: Any) -> Node:
    """Return uniform numbers in (0, 1)."""
    wanted = _floating(dtype)
    return uniform(key, shape, wanted, np.finfo(wanted).tiny, wanted.type(1))


@_of_key
def truncated_normal(
    key: Node, lower: Operand, upper: Operand, shape: Any = None, dtype: Any = "float64"
) -> Node:
    """Return numbers of the standard normal distribution between two bounds.

    Parameters
    ----------
    key : node
    lower, upper : number, array or node
        They broadcast to ``shape`` and get gradients.
    shape : int, integer node, or sequence of these, optional
        By default that of the bounds.
    dtype : dtype
        float16, float32 or float64.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.random.truncated_normal(sm.random.key(0), -0.1, 0.1, (1000,))
    >>> sm.max(sm.abs(x)).eval() <= 0.1
    np.True_
    """
    wanted = _floating(dtype)
    low, high = (cast(as_node(bound), wanted) for bound in (lower, upper))
    if shape is None:
        shape = _common_shape(low, high)
    root = wanted.type(math.sqrt(2))
    x = _quantile(uniform(key, shape, wanted, erf(low / root), erf(high / root)))
    first, last = nextafter(stop_gradient(low), np.inf), nextafter(stop_gradient(high), -np.inf)
    return clip(x, first, last)


@_of_key
def exponential(key: Node, shape: Any = (), dtype: Any = "float64") -> Node:
    """Return numbers of the exponential distribution with mean 1.

    Parameters
    ----------
    key : node
    shape : int, integer node, or sequence of these
    dtype : dtype
        float16, float32 or float64.

    Examples
    --------
    >>> import symad as sm
    >>> round(float(sm.mean(sm.random.exponential(sm.random.key(0), (10_000,))).eval()), 1)
    1.0
    """
    return -log1p(-uniform(key, shape, dtype))


@_of_key
def gumbel(key: Node, shape: Any = (), dtype: Any = "float64") -> Node:
    """Return numbers of the standard Gumbel distribution, -ln(-ln u).

    Parameters
    ----------
    key : node
    shape : int, integer node, or sequence of these
    dtype : dtype
        float16, float32 or float64.

    Examples
    --------
    >>> import symad as sm
    >>> round(float(sm.mean(sm.random.gumbel(sm.random.key(0), (10_000,))).eval()), 1)  # Euler's
    0.6
    """
    return -log(-log(_positive(key, shape, dtype)))


@_of_key
def logistic(key: Node, shape: Any = (), dtype: Any = "float64") -> Node:
    """Return numbers of the standard logistic distribution, ln(u / (1 - u)).

    Parameters
    ----------
    key : node
    shape : int, integer node, or sequence of these
    dtype : dtype
        float16, float32 or float64.

    Examples
    --------
    >>> import symad as sm
    >>> round(float(sm.mean(sm.random.logistic(sm.random.key(0), (10_000,))).eval()), 1)
    0.0
    """
    u = _positive(key, shape, dtype)
    return log(u) - log1p(-u)


@_of_key
def laplace(key: Node, shape: Any = (), dtype: Any = "float64") -> Node:
    """Return numbers of the standard Laplace distribution.

    Parameters
    ----------
    key : node
    shape : int, integer node, or sequence of these
    dtype : dtype
        float16, float32 or float64.

    Examples
    --------
    >>> import symad as sm
    >>> round(float(sm.mean(sm.abs(sm.random.laplace(sm.random.key(0), (10_000,)))).eval()), 1)
    1.0
    """
    u = _symmetric(key, shape, _floating(dtype))
    return sign(u) * log1p(-abs(u))


@_of_key
def cauchy(key: Node, shape: Any = (), dtype: Any = "float64") -> Node:
    """Return numbers of the standard Cauchy distribution, tan(π(u - 1/2)).

    Parameters
    ----------
    key : node
    shape : int, integer node, or sequence of these
    dtype : dtype
        float16, float32 or float64.

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.cauchy(sm.random.key(0), (2,)).eval().shape
    (2,)
    """
    wanted = _floating(dtype)
    u = uniform(key, shape, wanted, np.finfo(wanted).eps, wanted.type(1))
    return tan(wanted.type(math.pi) * (u - wanted.type(0.5)))


@_of_key
def multivariate_normal(
    key: Node, mean: Operand, cov: Operand, shape: Any = None, dtype: Any = "float64"
) -> Node:
    """Return vectors of a normal distribution: mean + L z with cov = L Lᵀ.

    Parameters
    ----------
    key : node
    mean : array or node of shape (..., n)
    cov : array or node of shape (..., n, n)
        Symmetric and positive definite.  Both get gradients.
    shape : int, integer node, or sequence of these, optional
        How many vectors; by default as many as there are means and covariances.
    dtype : dtype
        float32 or float64.

    Examples
    --------
    >>> import symad as sm
    >>> mean, cov = sm.constant([0.0, 10.0]), sm.constant([[1.0, 0.5], [0.5, 1.0]])
    >>> x = sm.random.multivariate_normal(sm.random.key(0), mean, cov, (1000,))
    >>> sm.mean(x, axis=0).eval().round(0) + 0.0
    array([ 0., 10.])
    """
    wanted = _floating(dtype)
    centre, factor = cast(as_node(mean), wanted), cholesky(cast(as_node(cov), wanted))
    if shape is None:
        shape = shape_of(centre + factor[..., 0])[:-1]
    z = normal(key, (*as_sizes(shape), centre.shape[-1]), wanted)
    return centre + (factor @ expand_dims(z, -1))[..., 0]


# Choices, which have no derivative


@_of_key
def bernoulli(key: Node, p: Operand = 0.5, shape: Any = None) -> Node:
    """Return booleans that are true with probability ``p``.

    Parameters
    ----------
    key : node
    p : number, array or node
        It broadcasts to ``shape``.
    shape : int, integer node, or sequence of these, optional
        By default that of ``p``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.bernoulli(sm.random.key(0), 0.9, (4,)).eval()
    array([ True,  True, False,  True])
    """
    chance = as_node(p)
    if chance.dtype.kind != "f":
        chance = cast(chance, "float64")
    return uniform(key, _common_shape(chance) if shape is None else shape, chance.dtype) < chance


@_of_key
def rademacher(key: Node, shape: Any = (), dtype: Any = "int64") -> Node:
    """Return numbers that are -1 or 1, each with probability 1/2.

    Parameters
    ----------
    key : node
    shape : int, integer node, or sequence of these
    dtype : dtype

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.rademacher(sm.random.key(0), (4,), "float32").eval()
    array([ 1.,  1., -1., -1.], dtype=float32)
    """
    return 2 * cast(bernoulli(key, 0.5, shape), dtype) - 1


@_of_key
def randint(key: Node, shape: Any, minval: Operand, maxval: Operand, dtype: Any = "int64") -> Node:
    """Return integers from ``minval`` up to but not including ``maxval``.

    Parameters
    ----------
    key : node
    shape : int, integer node, or sequence of these
    minval, maxval : int, integer array or integer node
        They broadcast to ``shape`` and must fit ``dtype``.  Where ``maxval`` is not larger than
        ``minval``, the result is ``minval``.
    dtype : dtype
        A signed or unsigned integer.

    Raises
    ------
    GraphTypeError
        If the dtype is not an integer one, or a bound does not fit.

    Notes
    -----
    Twice as many random bits as the dtype has make the bias towards some integers small.

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.randint(sm.random.key(0), (5,), 0, 10).eval()
    array([5, 1, 5, 7, 3])
    """
    wanted = as_dtype(dtype)
    if wanted.kind not in "iu":
        raise GraphTypeError(f"random integers have an integer dtype, not {wanted}")
    sampled = wanted if wanted.itemsize >= 4 else np.dtype("int32")
    unsigned = np.dtype(f"uint{8 * sampled.itemsize}")
    low, high = (_integers(bound, wanted, sampled) for bound in (minval, maxval))
    keys = split(key)
    first, second = bits(keys[0], shape, unsigned), bits(keys[1], shape, unsigned)
    span = where(high > low, cast(high - low, unsigned), unsigned.type(1))
    multiplier = unsigned.type(2 ** (4 * sampled.itemsize)) % span
    multiplier = multiplier * multiplier % span
    offset = (first % span * multiplier + second % span) % span
    return cast(low + cast(offset, sampled), wanted)


def _integers(bound: Operand, dtype: np.dtype[Any], sampled: np.dtype[Any]) -> Node:
    """Return a bound of random integers of ``dtype``, which are drawn as ``sampled``."""
    node, limits = as_node(bound), np.iinfo(dtype)
    if node.dtype.kind not in "iu":
        raise GraphTypeError(f"a bound of random integers must be an integer, not {node!r}")
    most = min(limits.max + 1, np.iinfo(sampled).max)
    if isinstance(node, Constant) and np.any((node.value < limits.min) | (node.value > most)):
        raise GraphTypeError(
            f"{node.label} is not a bound of {dtype} integers", remedy="Choose a wider dtype."
        )
    return cast(node, sampled)


@_of_key
def categorical(key: Node, logits: Operand, axis: int = -1, shape: Any = None) -> Node:
    """Return the positions of elements drawn with the probabilities ``softmax(logits, axis)``.

    Parameters
    ----------
    key : node
    logits : array or node
        Logarithms of probabilities, up to a constant; the number of axes must be known.
    axis : int
        The axis of the alternatives.
    shape : sequence of int or integer nodes, optional
        The shape of the result.  It ends with that of ``logits`` without ``axis``, the default.

    Raises
    ------
    ShapeError
        If the number of axes of ``logits`` is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.categorical(sm.random.key(0), sm.log([0.1, 0.0, 0.9]), shape=(8,)).eval()
    array([2, 2, 2, 2, 2, 2, 2, 2])
    """
    scores = as_node(logits)
    sizes = _known_rank(scores, "logits")
    place = normalize_axis(axis, len(sizes))
    batch = (*sizes[:place], *sizes[place + 1 :])
    wanted = batch if shape is None else as_sizes(shape)
    lead = len(wanted) - len(batch)
    if lead < 0:
        raise ShapeError(f"the shape must have at least {len(batch)} axes, as the batch of logits")
    place += lead
    drawn = (*wanted[:place], sizes[place - lead], *wanted[place:])
    return argmax(gumbel(key, drawn, scores.dtype) + scores, axis=place)


@_of_key
def permutation(key: Node, x: Operand, axis: int = 0) -> Node:
    """Return ``x`` in random order along an axis.

    Parameters
    ----------
    key : node
    x : int, array or node
        An integer n means 0, 1, ..., n - 1.
    axis : int
        Its size must be known.

    Raises
    ------
    ShapeError
        If the size of the axis is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.permutation(sm.random.key(0), 5).eval()
    array([0, 1, 4, 3, 2])
    """
    if isinstance(x, (int, np.integer)):
        return _order(key, int(x))
    node = as_node(x)
    sizes = _known_rank(node, "x")
    if not sizes:
        raise ShapeError(f"{node!r} has no axis to permute", remedy="Give an array or an int.")
    size = sizes[normalize_axis(axis, len(sizes))]
    if not isinstance(size, int):
        raise ShapeError(
            f"the size of axis {axis} of {node!r} must be known to permute it",
            remedy="Declare it, as in Variable('x', shape=(100,)).",
        )
    return take(node, _order(key, size), axis)


def _order(key: Node, size: int) -> Node:
    """Return 0, ..., size - 1 in random order: sorted by random bits, again if these may tie."""
    order: Node = arange(size)
    for _ in range(math.ceil(3 * math.log(max(1, size)) / math.log(2**32 - 1))):
        key, now = split(key)
        order = take(order, argsort(bits(now, (size,))), 0)
    return order


@_of_key
def choice(
    key: Node,
    a: Operand,
    shape: Any = (),
    replace: bool = True,
    p: Operand | None = None,
    axis: int = 0,
) -> Node:
    """Return elements drawn from an array along an axis.

    Parameters
    ----------
    key : node
    a : int, array or node
        An integer n means 0, 1, ..., n - 1.
    shape : int or sequence of int
    replace : bool
        Whether an element may be drawn several times.
    p : array or node of shape (n,), optional
        The probabilities; by default all are equal.
    axis : int
        Its size must be known.

    Raises
    ------
    ShapeError
        If the size of the axis is not known, or fewer elements are there than are to be drawn
        without replacement.

    Examples
    --------
    >>> import symad as sm
    >>> sm.random.choice(sm.random.key(0), sm.constant([10, 20, 30]), (4,)).eval()
    array([10, 30, 30, 30])
    """
    source = arange(int(a)) if isinstance(a, (int, np.integer)) else as_node(a)
    sizes = _known_rank(source, "a")
    place = normalize_axis(axis, len(sizes))
    n, wanted = sizes[place], as_sizes(shape)
    count = reduce(mul, wanted, 1)
    if not isinstance(n, int) or not isinstance(count, int):
        raise ShapeError("the sizes of the axis and of the result of choice must be known")
    if (count and not n) or (not replace and count > n):
        raise ShapeError(f"{count} elements cannot be drawn from {n}")
    if p is None and replace:
        places = randint(key, wanted, 0, n)
    elif p is None:
        places = reshape(_order(key, n)[:count], wanted)
    else:
        places = _weighted(key, as_node(p), wanted, count, replace)
    return take(source, places, place)


def _weighted(key: Node, p: Node, shape: Sequence[Size], count: int, replace: bool) -> Node:
    """Return positions drawn with probabilities ``p``: where uniform numbers fall in their sums.

    Without replacement, those of the largest numbers ln p + Gumbel noise.
    """
    if not replace:
        scores = gumbel(key, p.shape, p.dtype) + log(p)
        return reshape(argsort(scores, descending=True)[:count], shape)
    sums = cumsum(p, 0)
    return searchsorted(sums, sums[-1] * (1 - uniform(key, shape, p.dtype)))


def _floating(dtype: Any) -> np.dtype[Any]:
    wanted = as_dtype(dtype)
    if wanted.kind != "f":
        raise GraphTypeError(f"these random numbers are floating-point numbers, not {wanted}")
    return wanted


def _known_rank(x: Node, what: str) -> tuple[Size, ...]:
    sizes = shape_of(x)
    if isinstance(sizes, Node):
        raise ShapeError(
            f"the number of axes of {what} must be known",
            remedy="Declare a shape, as in Variable('x', shape=('batch', 3)).",
        )
    return tuple(sizes)


def _common_shape(*bounds: Node) -> tuple[Size, ...]:
    """Return the shape to which nodes broadcast, as sizes."""
    return _known_rank(reduce(lambda a, b: a + b, bounds), "the parameters")


if not TYPE_CHECKING:  # so that checkers see that other names do not exist

    def __getattr__(name: str) -> Any:
        raise absent(__name__, name)
