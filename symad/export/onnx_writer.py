"""Writing ONNX: arrays with operators, which append nodes to a graph.

ONNX has no promotion of dtypes, and ONNX Runtime lacks kernels for many of them.  So arithmetic is
computed in the nearest dtype that it has, and cast back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from symad.records import dataclass

DType = np.dtype[Any]
Size = int | None
FLOAT, INT, BOOL = np.dtype("float64"), np.dtype("int64"), np.dtype("bool")

_WIDER = {
    "float16": "float32", "int8": "int32", "int16": "int32", "uint8": "int32", "uint16": "int32",
    "uint32": "int64",
}  # fmt: skip
"""Dtypes in which ONNX Runtime does not compute, and those that it uses in their place."""
SIGNED = {**_WIDER, "uint64": "int64"}
"""Dtypes that have no kernel that selects or adds at places, and those in their place."""
_POSITION = ("int64", "int32")


@dataclass(frozen=True, slots=True, eq=False)
class OnnxArray:
    """A value in an ONNX graph: operators append nodes.

    Attributes
    ----------
    to : OnnxWriter
    name : str
    dtype : numpy.dtype
    shape : tuple of int or None
        ``None`` where a size is not known.
    """

    to: OnnxWriter
    name: str
    dtype: DType
    shape: tuple[Size, ...]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def beside(self, other: Any) -> OnnxArray:
        """Return a number as an array of this dtype; an array as it is."""
        return other if isinstance(other, OnnxArray) else self.to.constant(other, self.dtype)

    def __add__(self, other: Any) -> OnnxArray:
        return self.to.add(self, self.beside(other))

    def __radd__(self, other: Any) -> OnnxArray:
        return self.to.add(self.beside(other), self)

    def __sub__(self, other: Any) -> OnnxArray:
        return self.to.subtract(self, self.beside(other))

    def __rsub__(self, other: Any) -> OnnxArray:
        return self.to.subtract(self.beside(other), self)

    def __mul__(self, other: Any) -> OnnxArray:
        return self.to.multiply(self, self.beside(other))

    def __rmul__(self, other: Any) -> OnnxArray:
        return self.to.multiply(self.beside(other), self)

    def __truediv__(self, other: Any) -> OnnxArray:
        return self.to.divide(self, self.beside(other))

    def __rtruediv__(self, other: Any) -> OnnxArray:
        return self.to.divide(self.beside(other), self)

    def __neg__(self) -> OnnxArray:
        return self.to.negate(self)

    def __lt__(self, other: Any) -> OnnxArray:
        return self.to.less(self, self.beside(other))

    def __le__(self, other: Any) -> OnnxArray:
        return self.to.less_equal(self, self.beside(other))

    def __gt__(self, other: Any) -> OnnxArray:
        return self.to.less(self.beside(other), self)

    def __ge__(self, other: Any) -> OnnxArray:
        return self.to.less_equal(self.beside(other), self)

    def equals(self, other: Any) -> OnnxArray:
        """Return where this is equal to another array or number."""
        return self.to.equal(self, self.beside(other))

    def __and__(self, other: OnnxArray) -> OnnxArray:
        return self.to.logical_and(self, other)

    def __or__(self, other: OnnxArray) -> OnnxArray:
        return self.to.logical_or(self, other)

    def __invert__(self) -> OnnxArray:
        return self.to.logical_not(self)


class OnnxWriter:
    """Nodes, constants and names of a model that is being written.

    Attributes
    ----------
    nodes : list of onnx.NodeProto
        Those of the graph that is being written, in order.
    constants : list of onnx.TensorProto
        Those of the whole model.
    origin : str
        The documentation of the nodes that follow.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.origin = ""
        self._onnx = import_module("onnx")
        self._names: set[str] = set()
        self._known: dict[Any, OnnxArray] = {}
        self._unsigned: set[str] = set()  # constants without axes, none of them -0.0
        self._numbers: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """Return a name that no value has yet: ``name``, or that with a number."""
        found, number = name, self._numbers.get(name, 1)
        while found in self._names:
            number += 1
            found = f"{name}_{number}"
        self._numbers[name] = number
        self._names.add(found)
        return found

    def element_type(self, dtype: DType) -> int:
        """Return ONNX's number of a dtype."""
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(dtype))

    def constant(self, value: Any, dtype: Any = None) -> OnnxArray:
        """Return a constant; equal small ones are stored once."""
        array: Any = np.asarray(value, dtype)
        key = array.dtype, array.shape, array.tobytes()
        known = self._known.get(key)
        if known is None:
            known = self.stored(array, self.unique("constant"))
            if not array.shape and (array != 0 or not np.signbit(array)):
                self._unsigned.add(known.name)
            if array.size <= 64:
                self._known[key] = known
        return known

    def stored(self, array: Any, name: str) -> OnnxArray:
        """Return an array that is part of the model."""
        array = np.array(array, order="C")
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return OnnxArray(self, name, array.dtype, array.shape)

    def node(
        self,
        kind: str,
        inputs: Sequence[OnnxArray | None],
        dtype: DType,
        shape: Sequence[Size],
        **attributes: Any,
    ) -> OnnxArray:
        """Append a node with one result."""
        return self.nodes_of(kind, inputs, [(dtype, shape)], **attributes)[0]

    def nodes_of(
        self,
        kind: str,
        inputs: Sequence[OnnxArray | None],
        results: Sequence[tuple[DType, Sequence[Size]]],
        **attributes: Any,
    ) -> list[OnnxArray]:
        """Append a node with several results."""
        base = kind.lower()
        made = [OnnxArray(self, self.unique(base), dtype, tuple(s)) for dtype, s in results]
        names = [x.name for x in made]
        given = ["" if x is None else x.name for x in inputs]
        self.nodes.append(
            self._onnx.helper.make_node(
                kind, given, names, name=names[0], doc_string=self.origin or None, **attributes
            )
        )
        return made

    def named(self, x: OnnxArray, name: str) -> OnnxArray:
        """Return ``x`` under a name that was reserved."""
        self.nodes.append(
            self._onnx.helper.make_node(
                "Identity", [x.name], [name], name=name, doc_string=self.origin or None
            )
        )
        return OnnxArray(self, name, x.dtype, x.shape)

    def value_info(self, x: OnnxArray, dims: Sequence[Any] | None = None) -> Any:
        """Return the declaration of an input or output."""
        sizes = list(x.shape) if dims is None else list(dims)
        return self._onnx.helper.make_tensor_value_info(x.name, self.element_type(x.dtype), sizes)

    @contextmanager
    def inner(self) -> Iterator[list[Any]]:
        """Append nodes to the list of an inner graph within a ``with`` block."""
        outer, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outer

    def subgraph(
        self, name: str, inputs: Sequence[OnnxArray], body: Callable[[], Sequence[OnnxArray]]
    ) -> Any:
        """Return an inner graph; it may use all values around it."""
        with self.inner() as nodes:
            results = [self.named(x, self.unique("result")) for x in body()]
        make = self._onnx.helper.make_graph
        declared = [self.value_info(x) for x in inputs]
        return make(nodes, self.unique(name), declared, [self.value_info(x) for x in results])

    def placeholder(self, dtype: DType, shape: Sequence[Size], name: str) -> OnnxArray:
        """Return an array that is declared by its user: an input of a graph."""
        return OnnxArray(self, self.unique(name), dtype, tuple(shape))

    # Dtypes

    def convert(self, x: OnnxArray, dtype: Any) -> OnnxArray:
        """Return ONNX's cast: undefined for floats beyond the range of an integer."""
        dtype = np.dtype(dtype)
        if x.dtype == dtype:
            return x
        return self.node("Cast", [x], dtype, x.shape, to=self.element_type(dtype))

    def widened(self, x: OnnxArray) -> OnnxArray:
        """Return an array in a dtype in which ONNX Runtime computes."""
        return self.convert(x, _WIDER.get(x.dtype.name, x.dtype))

    def compute(
        self,
        kind: str,
        *operands: OnnxArray,
        result: DType | None = None,
        wider: dict[str, str] = _WIDER,
        **attributes: Any,
    ) -> OnnxArray:
        """Append a node that works element by element, on broadcast operands of one dtype."""
        dtype = operands[0].dtype
        within = np.dtype(wider.get(dtype.name, dtype))
        given = [self.convert(x, within) for x in operands]
        shape = broadcast(*[x.shape for x in operands])
        made = self.node(kind, given, within if result is None else result, shape, **attributes)
        return self.convert(made, dtype if result is None else result)

    def add(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x + y; booleans are or-ed."""
        return self.compute("Or" if x.dtype == BOOL else "Add", x, y)

    def subtract(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x - y."""
        return self.compute("Sub", x, y)

    def multiply(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x * y; booleans are and-ed."""
        return self.compute("And" if x.dtype == BOOL else "Mul", x, y)

    def divide(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x / y of floats."""
        return self.compute("Div", x, y)

    def negate(self, x: OnnxArray) -> OnnxArray:
        """Return -x."""
        return 0 - x if x.dtype.kind == "u" else self.compute("Neg", x)

    def less(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x < y."""
        if x.dtype == BOOL:
            return self.logical_and(self.logical_not(x), y)
        return self.compute("Less", x, y, result=BOOL)

    def less_equal(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x <= y."""
        if x.dtype == BOOL:
            return self.logical_or(self.logical_not(x), y)
        return self.compute("LessOrEqual", x, y, result=BOOL)

    def equal(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x == y."""
        return self.compute("Equal", x, y, result=BOOL)

    def logical_and(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x and y of booleans."""
        return self.compute("And", x, y)

    def logical_or(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x or y of booleans."""
        return self.compute("Or", x, y)

    def logical_not(self, x: OnnxArray) -> OnnxArray:
        """Return not x of a boolean; after ``Not``, ONNX Runtime turns ``Where`` around."""
        return self.compute("Xor", x, self.constant(True))

    def select(self, condition: OnnxArray, x: Any, y: Any) -> OnnxArray:
        """Return x where the condition is true, else y; one of them may be a number.

        The first operand of ONNX Runtime's ``Where`` loses the sign of a zero, so that of floats is
        a number with none: each of two arrays is chosen beside 1, and these are multiplied.
        """
        first: OnnxArray = x if isinstance(x, OnnxArray) else y.beside(x)
        second = first.beside(y)
        if first.dtype == BOOL:
            return (condition & first) | (~condition & second)
        within = np.dtype(SIGNED.get(first.dtype.name, first.dtype))
        given = [self.convert(first, within), self.convert(second, within)]
        if within.kind != "f" or first.name in self._unsigned:
            chosen = self._where(condition, *given)
        elif second.name in self._unsigned:
            chosen = self._where(~condition, *reversed(given))
        else:
            one = self.constant(1, within)
            parts = (self._where(~condition, one, given[0]), self._where(condition, one, given[1]))
            chosen = self.multiply(*parts)
        return self.convert(chosen, first.dtype)

    def _where(self, condition: OnnxArray, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        shape = broadcast(condition.shape, x.shape, y.shape)
        return self.node("Where", [condition, x, y], x.dtype, shape)

    # Shapes

    def vector(self, sizes: Sequence[int | OnnxArray]) -> OnnxArray:
        """Return sizes, numbers or arrays without axes, as a vector of integers."""
        if all(isinstance(size, int) for size in sizes):
            return self.constant(np.array(sizes, INT))
        parts = [
            self.constant([size], INT)
            if isinstance(size, int)
            else self.expand_dims(self.convert(size, INT), [0])
            for size in sizes
        ]
        return self.concat(parts, 0)

    def shape(self, x: OnnxArray, start: int = 0, end: int | None = None) -> OnnxArray:
        """Return the sizes of axes of ``x``, a constant where they are known."""
        known = x.shape[start:end]
        if None not in known:
            return self.constant(np.array(known, INT))
        bounds = {"start": start} if end is None else {"start": start, "end": end}
        return self.node("Shape", [x], INT, (len(known),), **bounds)

    def size(self, x: OnnxArray, axis: int) -> int | OnnxArray:
        """Return the size of an axis: a number, or an array without axes."""
        axis %= x.ndim
        known = x.shape[axis]
        return known if known is not None else self.squeeze(self.shape(x, axis, axis + 1), [0])

    def sizes(self, x: OnnxArray) -> list[int | OnnxArray]:
        """Return the size of each axis."""
        return [self.size(x, axis) for axis in range(x.ndim)]

    def number(self, size: int | OnnxArray) -> OnnxArray:
        """Return a size as an array."""
        return self.constant(size, INT) if isinstance(size, int) else size

    def product(self, sizes: Sequence[int | OnnxArray]) -> int | OnnxArray:
        """Return the product of sizes."""
        total: int | OnnxArray = 1
        for size in sizes:
            total = size if isinstance(total, int) and total == 1 else total * size
        return total

    def reshape(self, x: OnnxArray, sizes: Sequence[int | OnnxArray]) -> OnnxArray:
        """Return ``x`` with another shape; one size may be -1."""
        known = tuple(s if isinstance(s, int) and s >= 0 else None for s in sizes)
        if known == x.shape and None not in known:
            return x
        return self.node("Reshape", [x, self.vector(sizes)], x.dtype, known, allowzero=1)

    def flat(self, x: OnnxArray) -> OnnxArray:
        """Return ``x`` with one axis."""
        count = self.product(self.sizes(x)) if 0 in x.shape or None not in x.shape else -1
        return x if x.ndim == 1 else self.reshape(x, [count])

    def expand(self, x: OnnxArray, sizes: Sequence[int | OnnxArray]) -> OnnxArray:
        """Return ``x`` broadcast to a shape."""
        known = tuple(s if isinstance(s, int) else None for s in sizes)
        if None not in known and (known == x.shape or 0 in known):
            # ONNX Runtime removes an expansion to nothing.
            return x if known == x.shape else self.constant(np.empty(known, x.dtype))
        return self._moved("Expand", x, known, self.vector(sizes))

    def expand_like(self, x: OnnxArray, like: OnnxArray) -> OnnxArray:
        """Return ``x`` broadcast to the shape of another array."""
        if x.shape == like.shape and None not in x.shape:
            return x
        return self._moved("Expand", x, like.shape, self.shape(like))

    def broadcast_together(self, x: OnnxArray, y: OnnxArray) -> tuple[OnnxArray, OnnxArray]:
        """Return both arrays in the shape to which they broadcast."""
        shape = broadcast(x.shape, y.shape)
        if None not in shape:
            sizes = [size for size in shape if size is not None]
            return self.expand(x, sizes), self.expand(y, sizes)
        x = self._moved("Expand", x, shape, self.shape(y))
        return x, self._moved("Expand", y, shape, self.shape(x))

    def stretch(self, x: OnnxArray, sizes: Sequence[int | OnnxArray]) -> OnnxArray:
        """Return ``x`` broadcast with a shape, of which it may have the larger sizes."""
        known = [size if isinstance(size, int) else None for size in sizes]
        shape = broadcast(x.shape, known)
        if shape == x.shape and None not in (*shape, *known):
            return x
        return self._moved("Expand", x, shape, self.vector(sizes))

    def filled(self, value: Any, dtype: DType, sizes: Sequence[int | OnnxArray]) -> OnnxArray:
        """Return an array of equal elements."""
        return self.expand(self.constant(value, dtype), sizes)

    def _moved(
        self, kind: str, x: OnnxArray, shape: Sequence[Size], *more: OnnxArray, **attributes: Any
    ) -> OnnxArray:
        return self.node(kind, [x, *more], x.dtype, shape, **attributes)

    def expand_dims(self, x: OnnxArray, axes: Sequence[int]) -> OnnxArray:
        """Return ``x`` with axes of size 1 at places of the result, counted from the front."""
        if not axes:
            return x
        rest = iter(x.shape)
        shape = [1 if k in axes else next(rest) for k in range(x.ndim + len(axes))]
        return self._moved("Unsqueeze", x, shape, self.constant(np.array(axes, INT)))

    def squeeze(self, x: OnnxArray, axes: Sequence[int]) -> OnnxArray:
        """Return ``x`` without axes of size 1."""
        if not axes:
            return x
        shape = [size for k, size in enumerate(x.shape) if k not in axes]
        return self._moved("Squeeze", x, shape, self.constant(np.array(axes, INT)))

    def permute(self, x: OnnxArray, axes: Sequence[int]) -> OnnxArray:
        """Return ``x`` with its axes in another order."""
        if list(axes) == list(range(x.ndim)):
            return x
        return self._moved("Transpose", x, [x.shape[k] for k in axes], perm=list(axes))

    def move_axis(self, x: OnnxArray, source: int, target: int) -> OnnxArray:
        """Return ``x`` with one axis moved to another place."""
        axes = [k for k in range(x.ndim) if k != source % x.ndim]
        axes.insert(target % x.ndim, source % x.ndim)
        return self.permute(x, axes)

    def concat(self, parts: Sequence[OnnxArray], axis: int) -> OnnxArray:
        """Return arrays of one dtype one after another."""
        axis %= parts[0].ndim
        sizes = [x.shape[axis] for x in parts]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        shape = (*parts[0].shape[:axis], total, *parts[0].shape[axis + 1 :])
        return self.node("Concat", parts, parts[0].dtype, shape, axis=axis)

    def take(self, x: OnnxArray, places: OnnxArray, axis: int) -> OnnxArray:
        """Return elements along an axis, in place of which come the axes of ``places``."""
        axis %= x.ndim
        if places.dtype.name not in _POSITION:
            places = self.convert(places, INT)
        shape = (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
        return self._moved("Gather", x, shape, places, axis=axis)

    def slices(self, x: OnnxArray, axis: int, start: Any, stop: Any, step: int = 1) -> OnnxArray:
        """Return a slice along an axis; bounds are sizes or ``None``, as in Python."""
        axis %= x.ndim
        first = (0 if step > 0 else np.iinfo(INT).max) if start is None else start
        last = np.iinfo(INT).max if step > 0 else np.iinfo(INT).min
        bounds = self.vector([first]), self.vector([last if stop is None else stop])
        at, by = self.constant([axis], INT), self.constant([step], INT)
        size, are_known = x.shape[axis], isinstance(first, int) and isinstance(stop, int | None)
        if size is not None and are_known:
            size = len(range(size)[slice(start, stop, step)])
        else:
            size = None
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        return self._moved("Slice", x, shape, *bounds, at, by)

    def count(self, size: int | OnnxArray) -> OnnxArray:
        """Return 0, 1, ... below a size."""
        if isinstance(size, int):
            return self.constant(np.arange(size))
        zero, one = self.constant(0, INT), self.constant(1, INT)
        return self.node("Range", [zero, size, one], INT, (None,))

    # Reductions

    def reduce(
        self, kind: str, x: OnnxArray, axes: Sequence[int], keepdims: bool = False
    ) -> OnnxArray:
        """Return a reduction over axes, counted from the front, in the dtype of ``x``."""
        if not axes:
            return x
        within = np.dtype({**_WIDER, "uint64": "int64", "bool": "int32"}.get(x.dtype.name, x.dtype))
        reduced = [1 if k in axes else size for k, size in enumerate(x.shape)]
        shape = reduced if keepdims else [s for k, s in enumerate(x.shape) if k not in axes]
        given = [self.convert(x, within), self.constant(np.array(axes, INT))]
        made = self.node(f"Reduce{kind}", given, within, shape, keepdims=int(keepdims))
        return self.convert(made, x.dtype)

    # Control flow

    def loop(
        self,
        length: OnnxArray | None,
        carries: Sequence[OnnxArray],
        step: Callable[[OnnxArray, Sequence[OnnxArray]], tuple[Any, Any, Any]],
        first: OnnxArray | None = None,
    ) -> list[OnnxArray]:
        """Return the last carries of a loop, and what its steps make, stacked.

        Parameters
        ----------
        length : OnnxArray, optional
            The number of steps, at most.
        carries : sequence of OnnxArray
        step : callable
            Takes the number of the step and the carries; returns whether there is another step
            (``None``: if the length allows it), the new carries, and the outputs of the step.
        first : OnnxArray, optional
            Whether there is a first step.
        """
        place = self.placeholder(INT, (), "step")
        goes_on = self.placeholder(BOOL, (), "goes_on")
        inside = [self.placeholder(x.dtype, x.shape, "carry") for x in carries]
        made: list[tuple[DType, Sequence[Size]]] = []

        def body() -> Sequence[OnnxArray]:
            again, new, outputs = step(place, inside)
            made.extend((x.dtype, x.shape) for x in new)
            made.extend((x.dtype, (None, *x.shape)) for x in outputs)
            return [goes_on if again is None else again, *new, *outputs]

        graph = self.subgraph("steps", [place, goes_on, *inside], body)
        return self.nodes_of("Loop", [length, first, *carries], made, body=graph)

    def branches(
        self, condition: OnnxArray, *bodies: Callable[[], Sequence[OnnxArray]]
    ) -> list[OnnxArray]:
        """Return the results of the first of two bodies if the condition holds, else the other."""
        made: list[tuple[DType, Sequence[Size]]] = []

        def noting(body: Callable[[], Sequence[OnnxArray]]) -> Sequence[OnnxArray]:
            results = body()
            made[:] = [(x.dtype, [None] * x.ndim) for x in results]
            return results

        graphs = [self.subgraph("branch", [], partial(noting, body)) for body in bodies]
        return self.nodes_of("If", [condition], made, then_branch=graphs[0], else_branch=graphs[1])


def broadcast(*shapes: Sequence[Size]) -> tuple[Size, ...]:
    """Return the shape that shapes broadcast to; ``None`` where a size is not known."""
    rank = max(map(len, shapes))
    wide = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(map(_joined, zip(*wide, strict=True)))


def _joined(sizes: Sequence[Size]) -> Size:
    known = [size for size in sizes if size is not None and size != 1]
    return known[0] if known else None if None in sizes else 1
