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
from symad.ops import linalg as _norms  # noqa: F401  (registers its functions)
from symad.ops.adjoint import (
    add_n,
    broadcast_like,
    cast,
    identity,
    ones_like,
    positive,
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
from symad.player.player import play
from symad.runtime.compiler import Executor, compile
from symad.runtime.function import Function
from symad.tables.tracing import trace
from symad.types import TensorType

if TYPE_CHECKING:
    from symad import linalg, testing
    from symad.functions.accumulation import cumulative_prod, cumulative_sum
    from symad.functions.arrays import asarray, empty, empty_like, from_dlpack, meshgrid
    from symad.functions.broadcasting import broadcast_arrays, broadcast_shapes
    from symad.functions.constants import e, inf, nan, newaxis, pi
    from symad.functions.counting import count_nonzero, isin
    from symad.functions.dtypes import (
        astype,
        bool,
        can_cast,
        finfo,
        float16,
        float32,
        float64,
        iinfo,
        int8,
        int16,
        int32,
        int64,
        isdtype,
        result_type,
        uint8,
        uint16,
        uint32,
        uint64,
    )
    from symad.functions.linear_algebra import vecdot
    from symad.functions.pieces import unstack
    from symad.ops.bits import (
        bitwise_and,
        bitwise_invert,
        bitwise_left_shift,
        bitwise_or,
        bitwise_right_shift,
        bitwise_xor,
    )
    from symad.ops.floats import copysign, nextafter, signbit
    from symad.ops.searching import searchsorted

__version__ = "0.2.0"
__array_api_version__ = "2025.12"

__all__ = [
    "Constant", "Edge", "Executor", "Extension", "Function", "Graph", "Node", "Parameter",
    "SymadError", "TensorType", "Variable", "__version__", "abs", "absolute", "acos", "acosh",
    "add", "add_at", "add_n", "all", "amax", "amin", "any", "arange", "arccos", "arccosh", "arcsin",
    "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argsort", "asarray", "asin",
    "asinh", "astype", "atan", "atan2", "atanh", "atleast_1d", "atleast_2d", "bitwise_and",
    "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "bool", "broadcast_arrays", "broadcast_like", "broadcast_shapes", "broadcast_to", "can_cast",
    "cast", "cbrt", "ceil", "clip", "compare_derivatives", "compile", "concat", "concatenate",
    "constant", "copysign", "cos", "cosh", "cost", "count_nonzero", "cumprod", "cumsum",
    "cumulative_prod", "cumulative_sum", "custom", "deg2rad", "degrees", "diag", "diagonal",
    "difference_errors", "digamma", "directional_derivative", "divide", "dot", "draw", "e",
    "einsum", "empty", "empty_like", "equal", "erf", "erfc", "erfinv", "errors", "exp", "exp2",
    "expand_dims", "explain", "expm1", "extend", "eye", "find_nan", "finfo", "flatten", "flip",
    "float16", "float32", "float64", "floor", "floor_divide", "fmod", "from_dlpack", "full",
    "full_like", "gammaln", "gradients", "greater", "greater_equal", "hessian",
    "hessian_vector_product", "hstack", "hypot", "identity", "iinfo", "index_array", "inf", "inner",
    "int16", "int32", "int64", "int8", "isdtype", "isfinite", "isin", "isinf", "isnan", "jacobian",
    "less", "less_equal", "linalg", "linspace", "listing", "log", "log10", "log1p", "log2",
    "log_softmax", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor",
    "logsumexp", "map_over", "matmul", "matrix_transpose", "max", "maximum", "mean", "memory",
    "meshgrid", "min", "minimum", "mod", "moveaxis", "multiply", "nan", "negative", "newaxis",
    "nextafter", "not_equal", "numerical_gradient", "one_hot", "ones", "ones_like", "outer", "pad",
    "parameter", "permute_dims", "pi", "play", "polygamma", "positive", "pow", "power", "prod",
    "profile", "pullback", "pushforward", "rad2deg", "radians", "ravel", "reciprocal", "relu",
    "remainder", "repeat", "reshape", "reshape_like", "reshape_outer", "result_type", "roll",
    "round", "scatter_add", "scope", "searchsorted", "set_at", "shape", "sigmoid", "sign",
    "signbit", "sin", "sinh", "size", "softmax", "softplus", "sort", "split", "sqrt", "square",
    "squeeze", "stack", "std", "stop_gradient", "structure", "subtract", "sum", "sum_like",
    "swapaxes", "take", "take_along_axis", "tan", "tangents", "tanh", "tensordot", "testing",
    "tile", "to_networkx", "trace", "transpose", "tril", "triu", "true_divide", "trunc", "uint16",
    "uint32", "uint64", "uint8", "unstack", "value_and_gradients", "var", "vecdot", "vstack",
    "where", "zeros", "zeros_like",
]  # fmt: skip

_MODULES_ON_FIRST_USE = ("demo", "linalg", "testing")
"""Public modules that are loaded when they are asked for."""

_FUNCTIONS_ON_FIRST_USE = {
    name: f"symad.{module}"
    for module, names in {
        "functions.accumulation": "cumulative_prod cumulative_sum",
        "functions.broadcasting": "broadcast_arrays broadcast_shapes",
        "functions.constants": "e inf nan newaxis pi",
        "functions.counting": "count_nonzero isin",
        "functions.arrays": "asarray empty empty_like from_dlpack meshgrid",
        "functions.dtypes": "astype bool can_cast finfo float16 float32 float64 iinfo int16 int32 "
        "int64 int8 isdtype result_type uint16 uint32 uint64 uint8",
        "functions.linear_algebra": "vecdot",
        "functions.namespace": "__array_namespace_info__",
        "functions.pieces": "unstack",
        "ops.bits": "bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift "
        "bitwise_xor",
        "ops.floats": "copysign nextafter signbit",
        "ops.searching": "searchsorted",
    }.items()
    for name in names.split()
}
"""Public functions that are loaded when they are asked for, each with its module."""

_ON_FIRST_USE.update(_FUNCTIONS_ON_FIRST_USE)
_ON_FIRST_USE.update(
    {
        f"linalg.{name}": "symad.functions.linear_algebra"
        for name in "cross diagonal matrix_norm matrix_rank outer vecdot vector_norm".split()
    }
)
_ON_FIRST_USE["linalg.pinv"] = "symad.ops.pseudo_inverse"
_ON_FIRST_USE["orthogonal_complement"] = "symad.ops.bases"

if not TYPE_CHECKING:  # so that checkers see that other names do not exist

    def __getattr__(name: str) -> Any:
        if name in _MODULES_ON_FIRST_USE:
            return import_module(f"symad.{name}")
        if name in _FUNCTIONS_ON_FIRST_USE:
            return getattr(import_module(_FUNCTIONS_ON_FIRST_USE[name]), name)
        if name.startswith("_"):
            raise AttributeError(f"module 'symad' has no attribute {name!r}")
        linalg = import_module("symad.linalg")
        known = {"symad": __all__, "symad.linalg": linalg.__all__}
        raise AttributeError(import_module("symad.functions.absent").absence("symad", name, known))


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
