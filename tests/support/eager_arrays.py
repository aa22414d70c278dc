"""Arrays that symad computes at once: a namespace for the public tests of the Array API standard.

Each function of the namespace makes a graph of one call, feeds it and returns the values::

    ARRAY_API_TESTS_MODULE=tests.support.eager_arrays pytest array_api_tests

With the environment variable ``SYMAD_EAGER_SHAPES=unknown``, graphs do not know the shapes of
their inputs; ``SYMAD_EAGER_BACKEND`` selects the backend, NumPy's by default.
"""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

import symad as sm
from symad.graph.node import Node

__version__ = sm.__version__

KNOWS_SHAPES = os.environ.get("SYMAD_EAGER_SHAPES") != "unknown"
BACKEND = os.environ.get("SYMAD_EAGER_BACKEND", "numpy")


class Array:
    """A value that symad computed."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value)

    def __repr__(self) -> str:
        return f"Array({self.value!r})"

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        import tests.support.eager_arrays as namespace

        sm.constant(0).__array_namespace__(api_version=api_version)
        return namespace

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self.value)))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.value[...] = eager(sm.set_at)(self, key, value).value

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Any = None,
        dl_device: Any = None,
        copy: Any = None,
    ) -> Any:
        return self.value.__dlpack__(max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> Any:
        return self.value.__dlpack_device__()

    def to_device(self, device: Any, /, *, stream: Any = None) -> Array:
        return eager(lambda x: x.to_device(device, stream=stream))(self)

    @property
    def device(self) -> Any:
        return sm.constant(0).device

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __complex__(self) -> complex:
        return complex(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        return operator.index(self.value[()])

    __hash__ = None  # type: ignore[assignment]


class Call:
    """A graph of one call: it replaces arrays by variables, and nodes by their values."""

    def __init__(self) -> None:
        self.feed: dict[sm.Variable, Any] = {}

    def lift(self, value: Any) -> Any:
        if isinstance(value, Array):
            shape = value.value.shape if KNOWS_SHAPES else None
            variable = sm.Variable(f"x{len(self.feed)}", shape, value.value.dtype)
            self.feed[variable] = value.value
            return variable
        if isinstance(value, (list, tuple)):
            return type(value)(map(self.lift, value))
        if isinstance(value, slice):
            parts = value.start, value.stop, value.step
            return slice(*[part if part is None else operator.index(part) for part in parts])
        return value

    def lower(self, value: Any) -> Any:
        if isinstance(value, Node):
            read = set(sm.Graph([value]).inputs)
            used = [variable for variable in self.feed if variable in read]
            function = sm.compile(used, value, backend=BACKEND)
            return Array(np.array(function(*[self.feed[variable] for variable in used])))
        if isinstance(value, tuple):
            items = map(self.lower, value)
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        return value


def eager(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of nodes as a function of arrays, with the same signature."""

    @functools.wraps(function)
    def of_arrays(*args: Any, **keywords: Any) -> Any:
        call = Call()
        lifted = {name: call.lift(value) for name, value in keywords.items()}
        return call.lower(function(*map(call.lift, args), **lifted))

    return of_arrays


def _operator(name: str) -> Callable[..., Any]:
    def apply(*operands: Any) -> Any:
        return eager(lambda *nodes: getattr(nodes[0], name)(*nodes[1:]))(*operands)

    return apply


def _attribute(name: str) -> property:
    return property(lambda self: getattr(self.value, name))


for _name in (
    "abs add and floordiv getitem invert le lshift lt ge gt matmul mod mul neg or pos pow "
    "radd rand rfloordiv rlshift rmatmul rmod rmul ror rpow rrshift rshift rsub rtruediv rxor sub "
    "truediv xor"
).split():
    setattr(Array, f"__{_name}__", _operator(f"__{_name}__"))
for _name, _function in (("eq", sm.equal), ("ne", sm.not_equal), ("T", None), ("mT", None)):
    if _function is None:
        setattr(Array, _name, property(eager(operator.attrgetter(_name))))
    else:
        setattr(Array, f"__{_name}__", lambda x, y, f=_function: eager(f)(x, y))
for _name in ("dtype", "ndim", "shape", "size"):
    setattr(Array, _name, _attribute(_name))


class Extension:
    """A module of symad for arrays."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        return eager(getattr(self.module, name))


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Array:
    if isinstance(obj, Array) and copy is not True and dtype in (None, obj.dtype):
        return obj
    return eager(sm.asarray)(obj, dtype=dtype, device=device, copy=None if copy else copy)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Array:
    return Array(sm.from_dlpack(x, device=device, copy=copy).eval())


def repeat(x: Array, repeats: Any, /, *, axis: int | None = None) -> Array:
    """Numbers of repetitions decide the shape, so they cannot be a node."""
    counts = repeats.value.tolist() if isinstance(repeats, Array) else repeats
    return eager(sm.repeat)(x, counts, axis=axis)


def __getattr__(name: str) -> Any:
    value = getattr(sm, name)
    if isinstance(value, ModuleType):
        return Extension(value)
    return eager(value) if callable(value) else value
