"""autograd's interface by symad: a plugin of pytest that takes the place of autograd in its tests.

In a checkout of https://github.com/HIPS/autograd::

    PYTHONPATH=/path/to/symad python -m pytest -p tests.support.autograd_shim tests

Functions are called with variables in place of arrays; what comes out is computed if nothing else
is a variable.  ``check_grads`` is :func:`symad.testing.check_gradients`, and combinations of
arguments that hold complex numbers are left out.
"""

from __future__ import annotations

import builtins
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as onp
import pytest
import scipy.stats

import symad as sm
from symad.graph.graph import rebuild, replace_inputs
from symad.graph.nested import leaves, map_leaves
from symad.graph.node import Constant, Node
from symad.testing import check_gradients

WITHOUT_COMPLEX = (
    r"test_(complex|fft)\.py|_complex|::test_(imag|real|conj|conjugate|angle|dtypes|sqrtm)$|"
    r"test_(real_ic|eig_real|holomorphic_grad|array_vspace_complex)"
)
"""Patterns of the tests that need complex numbers or Fourier transforms, which symad has not."""

EXPECTED = {
    r"test_(comparison_|eq$|neq$)": "== between nodes compares identity",
    r"test_core.py::test_([lg]eq|[lg]t)$|test_nograd": "a truth value has no derivative",
    r"test_(assert|falseyness)$": "a node is neither true nor false",
    r"test_eigvalh_(lower|upper)": "derivatives are those along symmetric matrices",
    r"test_std$": "the standard deviation of equal values has no second derivative: NaN",
    r"test_cast_to_int": "NumPy's np.int64(x) does not ask x",
    r"test_odeint": "symad has no integrator of differential equations",
    r"_def$|unimplemented|const_graph|test_tests\.py|vspaces?|deprecated|name_and_docs":
        "it tests autograd's own machinery, not what it computes",
}  # fmt: skip
"""Patterns of other tests that are expected to fail, each with the reason."""


# Derivatives


class Call:
    """A call of a function with variables in the places of some arguments.

    Attributes
    ----------
    moving
        These arguments, or one.
    result
        What the function returned.
    """

    def __init__(
        self, function: Callable[..., Any], places: Any, args: Sequence[Any], keywords: Any
    ) -> None:
        self._feed: dict[Node, Any] = {}
        given = list(args)
        chosen = [places] if isinstance(places, int) else list(places)
        for place in chosen:
            given[place] = map_leaves(self._variable, given[place])
        moving = builtins.tuple(given[place] for place in chosen)
        self.moving = moving[0] if isinstance(places, int) else moving
        self.result = function(*given, **keywords)

    def _variable(self, value: Any) -> Any:
        if isinstance(value, Node) or value is None:
            return value
        array = onp.asarray(value)
        if array.dtype.kind == "c" or array.dtype == onp.longdouble:
            raise TypeError("symad has no complex numbers and no long doubles")
        array = array.astype(float) if array.dtype.kind in "biu" else array
        variable = sm.Variable("x", array.shape, array.dtype)
        self._feed[variable] = array
        return variable

    @property
    def as_nodes(self) -> Any:
        """The result, with numbers and arrays as constants."""
        return map_leaves(lambda y: y if isinstance(y, Node) else sm.constant(y), self.result)

    def value(self, made: Any) -> Any:
        """Return nodes with the values of the variables in place of these."""
        return map_leaves(self._value, made)

    def _value(self, node: Any) -> Any:
        if not isinstance(node, Node):
            return node
        inputs = set(sm.Graph([node]).inputs)
        if inputs <= set(self._feed):
            return node.eval({x: self._feed[x] for x in inputs})
        known = {x: Constant(value) for x, value in self._feed.items() if x in inputs}
        graph = sm.Graph([node])
        return rebuild(graph, replace_inputs, {x: known.get(x, x) for x in inputs}).outputs[0]

    def gradient(self, seed: Any = None) -> Any:
        return sm.gradients(self.as_nodes, self.moving, seed=seed, unused="zero")

    def check(self, modes: Sequence[str], order: int) -> None:
        outputs = [y for y in leaves(self.result) if isinstance(y, Node) and y.type.is_float]
        if outputs and self._feed:
            names = {"fwd": "forward", "rev": "reverse"}
            at, kinds = self._feed, [names[mode] for mode in modes]
            check_gradients(outputs, list(at), at=at, order=order, modes=kinds)


def operator(derive: Callable[[Call], Any], label: str = "grad") -> Callable[..., Any]:
    """Return a function of a function and argument numbers, which returns a derivative function."""

    def of(function: Callable[..., Any], argnum: Any = 0) -> Callable[..., Any]:
        def derivative(*args: Any, **keywords: Any) -> Any:
            call = Call(function, argnum, args, keywords)
            return call.value(derive(call))

        name = getattr(function, "__name__", "[unknown name]")
        derivative.__name__ = f"{label}_of_{name}_wrt_argnum_{argnum}"
        return derivative

    return of


def _single(y: Any) -> Any:
    return sm.reshape(y, ()) if isinstance(y, Node) and y.ndim else y


grad = operator(lambda call: sm.gradients(_single(call.as_nodes), call.moving, unused="zero"))
elementwise_grad = deriv = operator(
    lambda call: sm.gradients(sm.sum(call.as_nodes), call.moving, unused="zero")
)
value_and_grad = operator(lambda call: (call.result, call.gradient()))
jacobian = operator(lambda call: sm.jacobian(call.as_nodes, call.moving))
grad_and_aux = operator(
    lambda call: (sm.gradients(call.result[0], call.moving, unused="zero"), call.result[1])
)


def hessian(function: Callable[..., Any], argnum: Any = 0) -> Callable[..., Any]:
    found: Callable[..., Any] = jacobian(jacobian(function, argnum), argnum)
    return found


def make_vjp(function: Callable[..., Any], argnum: Any = 0) -> Callable[..., Any]:
    def at(*args: Any, **keywords: Any) -> Any:
        call = Call(function, argnum, args, keywords)
        return lambda seed: call.value(call.gradient(seed)), call.value(call.result)

    return at


def make_jvp(function: Callable[..., Any], argnum: Any = 0) -> Callable[..., Any]:
    def at(*args: Any, **keywords: Any) -> Any:
        call = Call(function, argnum, args, keywords)
        return lambda v: call.value((call.result, sm.pushforward(call.as_nodes, call.moving, v)))

    return at


def tensor_jacobian_product(function: Callable[..., Any], argnum: int = 0) -> Callable[..., Any]:
    def product(*args: Any, **keywords: Any) -> Any:
        *rest, v = args
        j = jacobian(function, argnum)(*rest, **keywords)
        return onp.tensordot(v, j, axes=onp.ndim(v))

    return product


def hessian_tensor_product(function: Callable[..., Any], argnum: int = 0) -> Callable[..., Any]:
    def product(*args: Any, **keywords: Any) -> Any:
        *rest, v = args
        along = lambda *a, **k: sm.sum(grad(function, argnum)(*a, **k) * v)  # noqa: E731
        return grad(along, argnum)(*rest, **keywords)

    return product


def make_hvp(function: Callable[..., Any], argnum: int = 0) -> Callable[..., Any]:
    def at(x: Any) -> Any:
        return lambda v: hessian_tensor_product(function, argnum)(x, v), grad(function, argnum)(x)

    return at


def make_ggnvp(
    f: Callable[..., Any], g: Callable[..., Any] = lambda y: 0.5 * sm.sum(y * y)
) -> Callable[..., Any]:
    def at(x: Any) -> Any:
        def product(v: Any) -> Any:
            y, along = make_jvp(f)(x)(v)
            return make_vjp(f)(x)[0](hessian_tensor_product(g)(y, along))

        return product

    return at


def unary_to_nary(derive: Callable[..., Any]) -> Callable[..., Any]:
    def of(function: Callable[..., Any], argnum: int = 0) -> Callable[..., Any]:
        def derivative(*args: Any) -> Any:
            before, after = args[:argnum], args[argnum + 1 :]
            return derive(lambda x: function(*before, x, *after), args[argnum])

        return derivative

    return of


class Primitive:
    """A function with a rule of its own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._makers: Sequence[Callable[..., Any]] = ()

    def __call__(self, *args: Any) -> Any:
        if not any(isinstance(x, Node) for x in args):
            return self._function(*args)
        rule = self._reverse if self._makers else None
        return sm.custom(self._function, rule, name=self._function.__name__)(*args)

    def _reverse(self, adjoint: Node, out: Node, *inputs: Node) -> Any:
        return builtins.tuple(make(out, *inputs)(adjoint) for make in self._makers)

    def define(self, *makers: Callable[..., Any]) -> None:
        self._makers = makers


def internal(name: str) -> Callable[..., Any]:
    """Return a function in place of one of autograd's own machinery."""

    def fail(*args: Any, **keywords: Any) -> Any:
        raise NotImplementedError(f"{name} is a part of autograd itself")

    return fail


# Checks


def check_grads(
    function: Callable[..., Any], argnum: Any = 0, modes: Any = ("fwd", "rev"), order: int = 2
) -> Callable[..., Any]:
    def check(*args: Any, **keywords: Any) -> None:
        if not any(onp.iscomplexobj(x) for a in (*args, *keywords.values()) for x in leaves(a)
                   if not isinstance(x, (Node, str, type)) and not callable(x)):  # fmt: skip
            Call(function, argnum, args, keywords).check(modes or ("fwd", "rev"), order)

    return check


def combo_check(function: Callable[..., Any], *how: Any, **also: Any) -> Callable[..., Any]:
    def check(*args: Sequence[Any], **keywords: Sequence[Any]) -> None:
        for given in itertools.product(*args):
            for values in itertools.product(*keywords.values()):
                named = dict(zip(keywords, values, strict=True))
                check_grads(function, *how, **also)(*given, **named)

    return check


def check_equivalent(x: Any, y: Any) -> None:
    for a, b in zip(leaves(x), leaves(y), strict=True):
        onp.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def scalar_close(a: Any, b: Any) -> bool:
    return bool(abs(a - b) < 1e-6 or abs(a - b) / abs(a + b) < 1e-6)


def isinstance_(value: Any, types: Any) -> bool:
    array = onp.ndarray in (types if isinstance(types, builtins.tuple) else (types,))
    return isinstance(value, types) or (array and isinstance(value, Node))


# NumPy and SciPy, which call symad where an argument is a node, but for lists of nodes


def _holds_node(value: Any) -> bool:
    return isinstance(value, Node) or (
        isinstance(value, (list, tuple)) and any(map(_holds_node, value))
    )


def array(values: Any, *args: Any, **keywords: Any) -> Any:
    if isinstance(values, (list, tuple)) and _holds_node(values):
        return sm.stack([array(x) for x in values])
    return +values if isinstance(values, Node) else onp.array(values, *args, **keywords)


def _with_lists(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **keywords: Any) -> Any:
        return function(*(array(a) if _holds_node(a) else a for a in args), **keywords)

    return run


class Joined:
    """``r_`` and ``c_`` of autograd: arrays side by side along an axis."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        parts = [onp.r_[x] if isinstance(x, slice) else array(x) for x in keys]
        least = self.axis + 1
        parts = [x if onp.ndim(x) >= least else sm.expand_dims(x, -1) for x in parts]
        return sm.concat(parts, self.axis)


def make_diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    assert (offset, axis1, axis2) == (0, -1, -2)
    return x[..., None] * onp.eye(x.shape[-1])


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None:
        return onp.where(condition)
    if isinstance(condition, bool) and not any(hasattr(value, "dtype") for value in (x, y)):
        return x if condition else y
    return onp.where(condition, x, y)


def _transposed(x: Any) -> Any:
    return onp.swapaxes(x, -1, -2)


def convolve(a: Any, b: Any, axes: Any = None, dot_axes: Any = ((), ()), mode: str = "full") -> Any:
    """Convolve along pairs of axes, sum over others, and take all pairs of the rest."""
    a, b = (x if isinstance(x, Node) else sm.constant(x) for x in (a, b))
    if axes is None:
        axes = (range(a.ndim), range(b.ndim))
    rest = [
        [k for k in range(x.ndim) if k not in (*moved, *dotted)]
        for x, moved, dotted in zip((a, b), axes, dot_axes, strict=True)
    ]
    a, b = (
        sm.permute_dims(x, (*others, *dotted, *moved))
        for x, others, dotted, moved in zip((a, b), rest, dot_axes, axes, strict=True)
    )
    sizes = [x.shape[: len(others)] for x, others in zip((a, b), rest, strict=True)]
    shared = a.shape[len(rest[0]) :][: len(dot_axes[0])]
    found = []
    for i, j in itertools.product(_indices(sizes[0]), _indices(sizes[1])):
        pairs = [(a[(*i, *k, ...)], b[(*j, *k, ...)]) for k in _indices(shared)]
        found.append(sm.add_n([_convolved(p, q, mode) for p, q in pairs]))
    whole = sm.stack(found)
    result = sm.reshape(whole, (*sizes[0], *sizes[1], *whole.shape[1:]))
    return result if sm.Graph([result]).inputs else result.eval()


def _indices(shape: Sequence[int]) -> Iterator[builtins.tuple[int, ...]]:
    return itertools.product(*map(range, shape))


def _convolved(p: Node, q: Node, mode: str) -> Node:
    return sm.convolve(p, q, mode) if p.ndim else p * q


def flatten(value: Any) -> Any:
    parts = [onp.reshape(x, (-1,)) for x in leaves(value)]

    def unflatten(vector: Any) -> Any:
        ends = itertools.accumulate(part.shape[0] for part in parts)
        pairs = zip(leaves(value), parts, ends, strict=True)
        pieces = iter([vector[end - len(p) : end].reshape(onp.shape(x)) for x, p, end in pairs])
        return map_leaves(lambda _: next(pieces), value)

    return onp.concatenate(parts), unflatten


# Modules


def module(name: str, *parents: Any, **names: Any) -> Any:
    """Make a module with names of its own, and those of other modules."""
    made = ModuleType(name)
    vars(made).update(names)

    def find(key: str) -> Any:
        for parent in parents:
            if hasattr(parent, key):
                return getattr(parent, key)
        raise AttributeError(f"{name} has no {key}")

    vars(made)["__getattr__"] = find
    sys.modules[name] = made
    return made


LISTS = "mean std var sum max min prod append"


class Distribution:
    def __init__(self, name: str) -> None:
        self.ours, self.theirs = getattr(sm.stats, name, None), getattr(scipy.stats, name)

    def __getattr__(self, key: str) -> Any:
        return getattr(self.ours if hasattr(self.ours, key) else self.theirs, key)


def package(name: str, *parents: Any, **names: Any) -> Any:
    """Make a module in which there are others."""
    made = module(name, *parents, **names)
    made.__path__ = []
    return made


def chosen(names: str) -> dict[str, Any]:
    """Return functions of this module."""
    return {name: globals()[name] for name in names.split()}


def install() -> None:
    """Put the modules where ``import`` finds them."""
    whole = package(
        "autograd", isinstance=isinstance_, list=list, dict=dict, tuple=tuple,
        checkpoint=lambda function: function, holomorphic_grad=internal("holomorphic_grad"),
        **chosen("grad elementwise_grad deriv value_and_grad jacobian grad_and_aux hessian"),
        **chosen("make_vjp make_jvp tensor_jacobian_product hessian_tensor_product make_hvp"),
        **chosen("make_ggnvp"),
    )  # fmt: skip
    whole.numpy, whole.scipy = numpy_modules(), scipy_modules()
    module("autograd.builtins", builtins, isinstance=isinstance_)
    module("autograd.misc", flatten=flatten, const_graph=internal("const_graph"))
    module(
        "autograd.core", make_vjp=lambda f, x: make_vjp(f)(x), vspace=internal("vspace"),
        primitive=Primitive, primitive_vjps=internal("primitive_vjps"),
    )  # fmt: skip
    module("autograd.tracer", primitive=Primitive, isbox=lambda x: isinstance(x, Node))
    module("autograd.extend", primitive=Primitive, defvjp=Primitive.define)
    module("autograd.wrap_util", unary_to_nary=unary_to_nary)
    module("autograd.util", quick_grad_check=internal("quick_grad_check"))
    module("autograd.test_util", **chosen("check_grads combo_check check_equivalent scalar_close"))


def numpy_modules() -> Any:
    lists = {name: _with_lists(getattr(onp, name)) for name in LISTS.split()}
    numpy = package(
        "autograd.numpy", onp, r_=Joined(0), c_=Joined(1), row_stack=onp.vstack,
        msort=lambda x: onp.sort(x, axis=0), **chosen("array make_diagonal where"), **lists,
    )  # fmt: skip
    numpy.random = module("autograd.numpy.random", onp.random)
    more = {"norm": _with_lists(onp.linalg.norm), "T": _transposed, "_dot": onp.matmul}
    numpy.linalg = module("autograd.numpy.linalg", onp.linalg, **more)
    numpy.fft = module("autograd.numpy.fft", onp.fft)
    return numpy


def scipy_modules() -> Any:
    found = package("autograd.scipy")
    found.special = module("autograd.scipy.special", sm.special, scipy.special)
    found.linalg = module("autograd.scipy.linalg", sm.linalg, **chosen("solve_triangular"))
    found.signal = module("autograd.scipy.signal", **chosen("convolve"))
    found.integrate = module("autograd.scipy.integrate")
    names = "chi2 beta gamma norm poisson t dirichlet".split()
    found.stats = package("autograd.scipy.stats", **{name: Distribution(name) for name in names})
    module("autograd.scipy.stats.multivariate_normal", sm.stats.multivariate_normal)
    return found


def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: bool = False, **_: Any) -> Any:
    turned = trans in (1, "T", 2, "C")
    a = _transposed(a) if turned else a
    return sm.linalg.solve_triangular(a, b, lower=lower != turned)


def reason(test: str) -> str | None:
    """Return why a test is expected to fail, if it is."""
    return next((why for pattern, why in EXPECTED.items() if re.search(pattern, test)), None)


def pytest_configure() -> None:
    install()


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        why = reason(item.nodeid)
        if re.search(WITHOUT_COMPLEX, item.nodeid):
            item.add_marker(pytest.mark.skip(reason="needs complex numbers or Fourier transforms"))
        elif why is not None:
            item.add_marker(pytest.mark.xfail(reason=why, strict=True))
