"""symad: a symbolic graph compiler with gradients you can see."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from symad import errors
from symad.autodiff.derived import (
    hessian,
    hessian_vector_product,
    jacobian,
    value_and_gradients,
)
from symad.autodiff.extension import Edge, Extension
from symad.autodiff.forward import pushforward, tangents
from symad.autodiff.numeric import directional_derivative, numerical_gradient
from symad.autodiff.reverse import extend, gradients, pullback
from symad.drawing.show import draw, to_networkx
from symad.errors import SymadError
from symad.explaining import compare_derivatives, difference_errors, explain
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Parameter, Variable
from symad.graph.operators import ON_FIRST_USE as _ON_FIRST_USE
from symad.graph.provenance import scope
from symad.inspection import cost, find_nan, listing, memory, profile
from symad.ops import linalg
from symad.ops.adjoint import (
    add_n,
    broadcast_like,
    cast,
    identity,
    ones_like,
    reshape_like,
    reshape_outer,
    stop_gradient,
    sum_like,
    zeros_like,
)
from symad.ops.arithmetic import (
    abs,
    absolute,
    add,
    cbrt,
    divide,
    floor_divide,
    fmod,
    mod,
    multiply,
    negative,
    pow,
    power,
    reciprocal,
    remainder,
    sign,
    sqrt,
    square,
    subtract,
    true_divide,
)
from symad.ops.comparison import (
    clip,
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    not_equal,
    relu,
    where,
)
from symad.ops.control import custom, map_over
from symad.ops.create import arange, eye, full, full_like, linspace, ones, zeros
from symad.ops.cumulative import cumprod, cumsum
from symad.ops.einsum import einsum
from symad.ops.exponential import (
    exp,
    exp2,
    expm1,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    sigmoid,
    softplus,
)
from symad.ops.extremum import amax, amin, argmax, argmin, max, min
from symad.ops.gather import one_hot, take, take_along_axis
from symad.ops.index import add_at, index_array, scatter_add, set_at
from symad.ops.join import atleast_1d, atleast_2d, concat, concatenate, hstack, split, stack, vstack
from symad.ops.moments import std, var
from symad.ops.nn import log_softmax, logsumexp, softmax
from symad.ops.permute import matrix_transpose, moveaxis, permute_dims, swapaxes, transpose
from symad.ops.product import dot, inner, matmul, outer, tensordot
from symad.ops.rearrange import flip, pad, repeat, roll, tile
from symad.ops.reduce import mean, prod, sum
from symad.ops.rounding import ceil, floor, round, trunc
from symad.ops.shape import broadcast_to, expand_dims, flatten, ravel, reshape, squeeze
from symad.ops.size import shape, size
from symad.ops.sorting import argsort, sort
from symad.ops.special import digamma, erf, erfc, erfinv, gammaln, polygamma
from symad.ops.structure import structure
from symad.ops.triangle import diag, diagonal, tril, triu
from symad.ops.trigonometric import (
    acos,
    acosh,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    deg2rad,
    degrees,
    hypot,
    rad2deg,
    radians,
    sin,
    sinh,
    tan,
    tanh,
)
from symad.ops.truth import all, any
from symad.passes import forms as _forms  # noqa: F401 (gradients ask for it by name)
from symad.player.player import play
from symad.runtime.compiler import Executor, compile
from symad.runtime.function import Function
from symad.tables.tracing import trace
from symad.types import TensorType

if TYPE_CHECKING:
    from symad import testing

__version__ = "0.2.0"

__all__ = [
    "Constant", "Edge", "Executor", "Extension", "Function", "Graph", "Node", "Parameter",
    "SymadError", "TensorType", "Variable", "__version__", "abs", "absolute", "acos", "acosh",
    "add", "add_at", "add_n", "all", "amax", "amin", "any", "arange", "arccos", "arccosh", "arcsin",
    "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argsort", "asin", "asinh",
    "atan", "atan2", "atanh", "atleast_1d", "atleast_2d", "broadcast_like", "broadcast_to", "cast",
    "cbrt", "ceil", "clip", "compare_derivatives", "compile", "concat", "concatenate", "constant",
    "cos", "cosh", "cost", "cumprod", "cumsum", "custom", "deg2rad", "degrees", "diag", "diagonal",
    "difference_errors", "digamma", "directional_derivative", "divide", "dot", "draw", "einsum",
    "equal", "erf", "erfc", "erfinv", "errors", "exp", "exp2", "expand_dims", "explain", "expm1",
    "extend", "eye", "find_nan", "flatten", "flip", "floor", "floor_divide", "fmod", "full",
    "full_like", "gammaln", "gradients", "greater", "greater_equal", "hessian",
    "hessian_vector_product", "hstack", "hypot", "identity", "index_array", "inner", "isfinite",
    "isinf", "isnan", "jacobian", "less", "less_equal", "linalg", "linspace", "listing", "log",
    "log10", "log1p", "log2", "log_softmax", "logaddexp", "logical_and", "logical_not",
    "logical_or", "logical_xor", "logsumexp", "map_over", "matmul", "matrix_transpose", "max",
    "maximum", "mean", "memory", "min", "minimum", "mod", "moveaxis", "multiply", "negative",
    "not_equal", "numerical_gradient", "one_hot", "ones", "ones_like", "outer", "pad", "parameter",
    "permute_dims", "play", "polygamma", "pow", "power", "prod", "profile", "pullback",
    "pushforward", "rad2deg", "radians", "ravel", "reciprocal", "relu", "remainder", "repeat",
    "reshape", "reshape_like", "reshape_outer", "roll", "round", "scatter_add", "scope", "set_at",
    "shape", "sigmoid", "sign", "sin", "sinh", "size", "softmax", "softplus", "sort", "split",
    "sqrt", "square", "squeeze", "stack", "std", "stop_gradient", "structure", "subtract", "sum",
    "sum_like", "swapaxes", "take", "take_along_axis", "tan", "tangents", "tanh", "tensordot",
    "testing", "tile", "to_networkx", "trace", "transpose", "tril", "triu", "true_divide", "trunc",
    "value_and_gradients", "var", "vstack", "where", "zeros", "zeros_like",
]  # fmt: skip

_MODULES_ON_FIRST_USE = ("demo", "testing")
"""Public modules that are loaded when they are asked for."""

_FUNCTIONS_ON_FIRST_USE: dict[str, str] = {}
"""Public functions that are loaded when they are asked for, each with its module."""

_ON_FIRST_USE.update(_FUNCTIONS_ON_FIRST_USE)

if not TYPE_CHECKING:  # so that checkers see that other names do not exist

    def __getattr__(name: str) -> Any:
        if name in _MODULES_ON_FIRST_USE:
            return import_module(f"symad.{name}")
        if name in _FUNCTIONS_ON_FIRST_USE:
            return getattr(import_module(_FUNCTIONS_ON_FIRST_USE[name]), name)
        raise AttributeError(f"module 'symad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES_ON_FIRST_USE})


def constant(value: Any, dtype: Any = None, name: str | None = None) -> Constant:
    """Return ``value`` as a node that never changes.

    Parameters
    ----------
    value : number, array or nested list
        Copied: changing it afterwards changes nothing.
    dtype : dtype, optional
        That of the value unless given.
    name : str, optional
        Shown in pictures and tables; the value unless given.

    Raises
    ------
    GraphTypeError
        If the value is ragged, or of a dtype that symad does not support.

    Examples
    --------
    >>> import symad as sm
    >>> sm.constant([1, 2]).type
    i64[2]
    """
    return Constant(value, dtype, name)


def parameter(name: str, value: Any, dtype: Any = None) -> Parameter:
    """Return state that compiled functions may update, with an initial value.

    Parameters
    ----------
    name : str
    value : number, array or nested list
        The initial value, copied; it settles shape and dtype.
    dtype : dtype, optional
        That of the value unless given.

    Returns
    -------
    Parameter
        Its attribute ``value`` is the current value, and may be assigned to.

    Raises
    ------
    GraphTypeError
        If the value is ragged, or of a dtype that symad does not support.

    Examples
    --------
    >>> import symad as sm
    >>> w = sm.parameter("w", [1.0, 2.0])
    >>> w.value
    array([1., 2.])
    """
    return Parameter(name, value, dtype)
