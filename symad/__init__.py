"""symad: a symbolic graph compiler with gradients you can see."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from symad import catalogue as _catalogue
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
from symad.graph.op import explained as _explained
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
    from symad import linalg, nn, optimise, random, special, stats, testing
    from symad.autodiff.sparse import sparsity
    from symad.distribution.distribute import distribute
    from symad.export.c_file import export_c
    from symad.export.object_file import export_object
    from symad.export.onnx_file import export_onnx
    from symad.export.stablehlo import export_stablehlo
    from symad.export.to_jax import to_jax
    from symad.functions.accumulation import cumulative_prod, cumulative_sum
    from symad.functions.arrays import asarray, empty, empty_like, from_dlpack, meshgrid
    from symad.functions.associative import associative_scan
    from symad.functions.averages import average, corrcoef, cov
    from symad.functions.batching import vmap
    from symad.functions.branches import cond, switch
    from symad.functions.broadcasting import broadcast_arrays, broadcast_shapes
    from symad.functions.choices import piecewise, select
    from symad.functions.comparing import (
        allclose,
        array_equal,
        array_equiv,
        fabs,
        fmax,
        fmin,
        heaviside,
        isclose,
        isneginf,
        isposinf,
    )
    from symad.functions.constants import e, inf, nan, newaxis, pi
    from symad.functions.counting import count_nonzero, isin
    from symad.functions.creation import geomspace, indices, logspace, tri
    from symad.functions.differences import (
        central_differences,
        cumulative_trapezoid,
        diff,
        ediff1d,
        trapezoid,
    )
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
    from symad.functions.editing import (
        delete,
        diagflat,
        insert,
        ravel_multi_index,
        resize,
        unravel_index,
    )
    from symad.functions.elementwise import float_power, logaddexp2, modf, unwrap
    from symad.functions.equations import fixed_point, implicit, root
    from symad.functions.histograms import bincount, histogram
    from symad.functions.interpolation import digitize, interp
    from symad.functions.joining import (
        append,
        array_split,
        atleast_3d,
        block,
        column_stack,
        dsplit,
        dstack,
        fliplr,
        flipud,
        hsplit,
        rollaxis,
        rot90,
        vsplit,
    )
    from symad.functions.linear_algebra import vecdot
    from symad.functions.loops import fori_loop, scan, while_loop
    from symad.functions.nan_reductions import (
        nan_to_num,
        nanargmax,
        nanargmin,
        nancumprod,
        nancumsum,
        nanmax,
        nanmean,
        nanmin,
        nanprod,
        nanstd,
        nansum,
        nanvar,
    )
    from symad.functions.order_statistics import (
        argpartition,
        median,
        nanmedian,
        nanpercentile,
        nanquantile,
        partition,
        percentile,
        ptp,
        quantile,
        top_k,
    )
    from symad.functions.pieces import unstack
    from symad.functions.polynomials import (
        poly,
        polyadd,
        polyder,
        polyfit,
        polyint,
        polymul,
        polysub,
        polyval,
        vander,
    )
    from symad.functions.products import cross, kron, matvec, vdot, vecmat
    from symad.functions.signal import convolve, correlate
    from symad.ops.bits import (
        bitwise_and,
        bitwise_invert,
        bitwise_left_shift,
        bitwise_or,
        bitwise_right_shift,
        bitwise_xor,
    )
    from symad.ops.floats import copysign, nextafter, signbit
    from symad.ops.running_extremum import cummax, cummin
    from symad.ops.searching import searchsorted
    from symad.ops.sinc import sinc
    from symad.saving.files import fingerprint, load, save

__version__ = "0.2.0"
__array_api_version__ = "2025.12"

__all__ = [
    "Constant", "Edge", "Executor", "Extension", "Function", "Graph", "Node", "Parameter",
    "SymadError", "TensorType", "Variable", "__version__", "abs", "absolute", "acos", "acosh",
    "add", "add_at", "add_n", "all", "allclose", "amax", "amin", "any", "append", "arange",
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin",
    "argpartition", "argsort", "array_equal", "array_equiv", "array_split", "asarray", "asin",
    "asinh", "associative_scan", "astype", "atan", "atan2", "atanh", "atleast_1d", "atleast_2d",
    "atleast_3d", "average", "bincount", "bitwise_and", "bitwise_invert", "bitwise_left_shift",
    "bitwise_or", "bitwise_right_shift", "bitwise_xor", "block", "bool", "broadcast_arrays",
    "broadcast_like", "broadcast_shapes", "broadcast_to", "can_cast", "cast", "cbrt", "ceil",
    "central_differences", "clip", "column_stack", "compare_derivatives", "compile", "concat",
    "concatenate", "cond", "constant", "convolve", "copysign", "corrcoef", "correlate", "cos",
    "cosh", "cost", "count_nonzero", "cov", "cross", "cummax", "cummin", "cumprod", "cumsum",
    "cumulative_prod", "cumulative_sum", "cumulative_trapezoid", "custom", "deg2rad", "degrees",
    "delete", "diag", "diagflat", "diagonal", "diff", "difference_errors", "digamma", "digitize",
    "directional_derivative", "distribute", "divide", "dot", "draw", "dsplit", "dstack", "e",
    "ediff1d", "einsum", "empty", "empty_like", "equal", "erf", "erfc", "erfinv", "errors", "exp",
    "exp2", "expand_dims", "explain", "expm1", "export_c", "export_object",
    "export_onnx", "export_stablehlo",
    "extend", "eye", "fabs", "find_nan", "finfo", "fingerprint", "fixed_point", "flatten", "flip",
    "fliplr", "flipud", "float16", "float32", "float64", "float_power", "floor", "floor_divide",
    "fmax", "fmin", "fmod", "fori_loop", "from_dlpack", "full", "full_like", "gammaln", "geomspace",
    "gradients", "greater", "greater_equal", "heaviside", "hessian", "hessian_vector_product",
    "histogram", "hsplit", "hstack", "hypot", "identity", "iinfo", "implicit", "index_array",
    "indices", "inf", "inner", "insert", "int16", "int32", "int64", "int8", "interp", "isclose",
    "isdtype", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf", "jacobian", "kron",
    "less", "less_equal", "linalg", "linspace", "listing", "load", "log", "log10", "log1p", "log2",
    "log_softmax", "logaddexp", "logaddexp2", "logical_and", "logical_not", "logical_or",
    "logical_xor", "logspace", "logsumexp", "map_over", "matmul", "matrix_transpose", "matvec",
    "max", "maximum", "mean", "median", "memory", "meshgrid", "min", "minimum", "mod", "modf",
    "moveaxis", "multiply", "nan", "nan_to_num", "nanargmax", "nanargmin", "nancumprod",
    "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod",
    "nanquantile", "nanstd", "nansum", "nanvar", "negative", "newaxis", "nextafter", "nn",
    "not_equal", "numerical_gradient", "one_hot", "ones", "ones_like", "optimise", "outer", "pad",
    "parameter", "partition", "percentile", "permute_dims", "pi", "piecewise", "play", "poly",
    "polyadd", "polyder", "polyfit", "polygamma", "polyint", "polymul", "polysub", "polyval",
    "positive", "pow", "power", "prod", "profile", "ptp", "pullback", "pushforward", "quantile",
    "rad2deg", "radians", "random", "ravel", "ravel_multi_index", "reciprocal", "relu", "remainder",
    "repeat", "reshape", "reshape_like", "reshape_outer", "resize", "result_type", "roll",
    "rollaxis", "root", "rot90", "round", "save", "scan", "scatter_add", "scope", "searchsorted",
    "select", "set_at", "shape", "sigmoid", "sign", "signbit", "sin", "sinc", "sinh", "size",
    "softmax", "softplus", "sort", "sparsity", "special", "split", "sqrt", "square", "squeeze",
    "stack", "stats", "std", "stop_gradient", "structure", "subtract", "sum", "sum_like",
    "swapaxes", "switch", "take", "take_along_axis", "tan", "tangents", "tanh", "tensordot",
    "testing", "tile", "to_jax", "to_networkx", "top_k", "trace", "transpose", "trapezoid", "tri",
    "tril", "triu", "true_divide", "trunc", "uint16", "uint32", "uint64", "uint8", "unravel_index",
    "unstack", "unwrap", "value_and_gradients", "vander", "var", "vdot", "vecdot", "vecmat", "vmap",
    "vsplit", "vstack", "where", "while_loop", "zeros", "zeros_like",
]  # fmt: skip

_ON_FIRST_USE.update(_catalogue.FUNCTIONS | _catalogue.INTERNAL)

if not TYPE_CHECKING:  # so that checkers see that other names do not exist

    def __getattr__(name: str) -> Any:
        if name in _catalogue.MODULES:
            return import_module(f"symad.{name}")
        if name in _catalogue.FUNCTIONS:
            return getattr(import_module(_catalogue.FUNCTIONS[name]), name)
        raise import_module("symad.functions.absent").absent("symad", name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_catalogue.MODULES})


@_explained
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


@_explained
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
