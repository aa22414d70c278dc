"""Base classes that supply types and derivatives to most ops: elementwise, linear, multilinear."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import FunctionType
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.graph import Graph
from symad.graph.index_sets import IndexSets, labels_shape
from symad.graph.node import Constant, Node, apply, as_array, reporting
from symad.graph.op import Op, call, explained, resolve
from symad.graph.operators import FUNCTIONS, IN_EXPRESSIONS, NUMPY_NAMES
from symad.graph.scalar import ScalarBuilder, Value
from symad.graph.traverse import topological_order
from symad.ops.batching import aligned, shape_of, stacked
from symad.types import SparseType, StructureType, TensorType, Type, broadcast_shapes

Operand: TypeAlias = Node | float | np.ndarray[Any, Any] | np.generic | list[Any] | tuple[Any, ...]
"""The operands of functions: a node, a Python number, an array or a nested list of numbers."""

Chain = Callable[..., Node] | None
"""``(v, y, *xs) -> v ∂y/∂x_k``, with ``y`` the result; ``None`` where there is no derivative."""

_NUMBERS = (bool, int, float)
_FLAGS = (bool, np.bool_)
_MOST_AXES = 64

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def register(
    function: AnyFunction,
    name: str = "",
    in_expressions: bool = False,
    numpy: str | tuple[str, ...] = (),
) -> AnyFunction:
    """Register a public function, or an op that is itself called, in the table of functions.

    Parameters
    ----------
    function : callable
    name : str
        The path below ``symad``, such as ``"linalg.norm"``; by default the name of the function.
    in_expressions : bool
        Expressions given as text may call an op if its class allows that, and a function that makes
        several ops if this is true.
    numpy : str or tuple of str
        Paths below ``numpy`` of functions whose calls on nodes it answers, apart from the one that
        ``name`` is and the ufunc that an op computes: ``"linalg.norm"``; ``"special.expit"`` for a
        ufunc of SciPy.  It must do what they do: parameters correspond by name, the leading ones
        also by position, and what has no counterpart here is refused unless it is NumPy's default.
        Where that is not enough, :mod:`symad.functions.numpy_functions` has a function with
        NumPy's signature.
    """
    key = name or _name_of(function)
    if isinstance(function, FunctionType) and not hasattr(function, "__wrapped__"):
        function = explained(function)
    FUNCTIONS[key] = function
    if in_expressions:
        IN_EXPRESSIONS.add(key)
    for path in (numpy,) if isinstance(numpy, str) else numpy:
        NUMPY_NAMES[path] = key
    kernel: Any = getattr(function, "numpy", None)
    if isinstance(kernel, (str, np.ufunc)):
        computed = kernel.partition(".")[2] if isinstance(kernel, str) else kernel.__name__
        NUMPY_NAMES.setdefault(computed, key)
    return function


def _name_of(function: Callable[..., Any]) -> str:
    return function.name if isinstance(function, Op) else function.__name__


def as_node(value: Operand, like: Node | None = None) -> Node:
    """Return ``value`` as a node; a number or array becomes a constant.

    Parameters
    ----------
    value : node, number, array or nested list
        Nodes in a list are stacked, as :func:`symad.asarray` does: it has one dtype for all.
    like : Node, optional
        If given, a Python number takes the dtype that NumPy would give it in an operation with this
        node: Python numbers are weak.

    Raises
    ------
    GraphTypeError
        If the value contains objects, text or complex numbers, or is a Python integer beyond the
        range of ``like``.
    ShapeError
        If nodes in a list have different shapes.
    """
    if isinstance(value, Node):
        return value
    if isinstance(value, (list, tuple)) and holds_node(value):
        return call("asarray", value)
    if type(value) is float and like is not None and like.dtype.kind == "f":
        return Constant(value, like.dtype)
    with reporting(""):
        if like is not None and type(value) in _NUMBERS:
            return Constant(value, _weak_dtype(value, like.dtype))  # type: ignore[arg-type]
        return Constant(as_array(value, None))


def _weak_dtype(value: bool | int | float, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that a Python number takes in an operation with an array of ``dtype``."""
    if dtype.kind == "f":
        return dtype
    result = np.result_type(dtype, value)
    if result.kind in "iu" and not np.iinfo(result).min <= value <= np.iinfo(result).max:
        raise GraphTypeError(
            f"{value} does not fit into {result}, the dtype of the other operand",
            remedy="Cast that operand to a wider dtype first: x.astype('int64').",
        )
    return result


def require_cpu(device: Any) -> None:
    """Raise an error for a device other than the one there is: see the Array API standard."""
    if device not in (None, "cpu"):
        raise GraphTypeError(
            f"there is no device {device!r}", remedy='Leave device= out, or write device="cpu".'
        )


def holds_node(values: Sequence[Any]) -> bool:
    """Return whether a nested list contains a node.

    Raises
    ------
    GraphTypeError
        If it is nested more deeply than arrays can be.
    """
    level = list(values)
    for _ in range(_MOST_AXES):
        if any(isinstance(value, Node) for value in level):
            return True
        level = [v for value in level if isinstance(value, (list, tuple)) for v in value]
        if not level:
            return False
    raise GraphTypeError(f"a list nested {_MOST_AXES} times is not an array")


def as_nodes(*values: Operand) -> tuple[Node, ...]:
    """Return all ``values`` as nodes; Python numbers and sizes take the dtype of the others."""
    nodes: list[Any] = [v if type(v) in _NUMBERS else as_node(v) for v in values]
    strong = [node for node in nodes if not _is_weak(node)]
    if len(strong) == len(nodes):
        return tuple(nodes)
    if not strong:
        return tuple(weak_constant(n) if type(n) in _NUMBERS else n for n in nodes)
    widest = max(strong, key=lambda node: _rank(node.dtype))
    return tuple(_beside(node, widest) if _is_weak(node) else node for node in nodes)


def is_sparse(value: Any) -> bool:
    """Return whether a value is a matrix or array of SciPy's, or a node of a sparse matrix."""
    if isinstance(value, Node):
        return isinstance(value.type, SparseType)
    loaded = sys.modules.get("scipy.sparse")  # without it, there are none
    return loaded is not None and bool(loaded.issparse(value))


def _is_weak(value: Any) -> bool:
    return type(value) in _NUMBERS or value.type.weak


def weak_constant(value: bool | int | float) -> Node:
    """Return a Python number as a node that takes the dtype of the arrays beside it."""
    node = as_node(value)
    node.type = TensorType(node.dtype, (), weak=True)
    return node


def _beside(value: Any, like: Node) -> Node:
    """Return a weak value in the dtype that NumPy gives a Python number with ``like``."""
    if type(value) in _NUMBERS:
        return as_node(value, like)
    number = 1.0 if value.dtype.kind == "f" else 1
    return call("cast", value, np.result_type(like.dtype, number))


def _rank(dtype: np.dtype[Any]) -> tuple[int, int]:
    return "buif".index(dtype.kind), dtype.itemsize


def tensor_types(*types: Type) -> tuple[TensorType, ...]:
    """Return ``types`` if all are tensors.

    Raises
    ------
    GraphTypeError
        If one is a structure or a sparse matrix.
    """
    for type_ in types:
        if isinstance(type_, StructureType):
            raise GraphTypeError(
                f"an array is needed, not the structure {type_}",
                remedy="Take an item out of it first: structure[key].",
            )
        if isinstance(type_, SparseType):
            raise GraphTypeError(
                f"an array is needed, not the sparse matrix {type_}",
                remedy="A sparse matrix can be returned, multiplied (J @ v, v @ J) and transposed; "
                "without sparse=True, the derivative is an array.",
            )
    return types  # type: ignore[return-value]


@lru_cache(maxsize=4096)
def ufunc_dtype(ufunc: np.ufunc, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that a NumPy ufunc gives for inputs of ``dtypes``.

    Raises
    ------
    GraphTypeError
        If the ufunc has no loop for them, such as ``-`` for booleans.
    """
    try:
        result: np.dtype[Any] = ufunc.resolve_dtypes((*dtypes, *[None] * ufunc.nout))[-1]
    except TypeError:
        names = " and ".join(str(dtype) for dtype in dtypes)
        raise GraphTypeError(
            f"not defined for {names}", remedy="Cast first: x.astype('float64')."
        ) from None
    return result


class PerElement(Op):
    """An op that computes each element of its result from one element of each broadcast operand.

    :attr:`element` describes this for backends that generate code.
    """

    element: ClassVar[Callable[..., Value] | str] = ""
    """One element of the result: the name of a primitive of :class:`ScalarBuilder`, or of a
    function of floats for :meth:`ScalarBuilder.call`, or a function of a builder and one value from
    each operand.  Without one, the op is always computed by :attr:`numpy`."""
    takes_any_rows = True
    operations: ClassVar[int] = 1
    """How many operations on numbers one element needs, as :mod:`symad.graph.cost` counts."""

    def flops(self, result: Any, *types: Any) -> int:
        size: int = result.size
        return type(self).operations * size

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        if isinstance(out.type, StructureType):  # a sum of structures
            return apply(self, *stacked(batched, inputs))
        ndim, pairs = out.type.ndim or 0, zip(inputs, batched, strict=True)
        return apply(self, *[aligned(x, ndim) if stacks else x for x, stacks in pairs])
    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        joined = sets.joined(*[array for array in labels if array is not None])
        return np.broadcast_to(joined, np.broadcast_shapes(joined.shape, labels_shape(out.type)))

    def operand_dtypes(self, *dtypes: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
        """Return the dtypes to which operands of ``dtypes`` are cast before :meth:`scalar`."""
        return dtypes

    def scalar(self, builder: ScalarBuilder, *inputs: Value) -> Value:
        """Return one element of the result, of a dtype that is cast to that of the result.

        Raises
        ------
        NotImplementedError
            If the op, or the op for such dtypes, has no code for one element.
        """
        element = type(self).element
        if not element:
            raise NotImplementedError(f"{self.name} has no code for one element")
        if not isinstance(element, str):
            return element(builder, *inputs)
        if hasattr(ScalarBuilder, element):
            return getattr(builder, element)(*inputs)
        return builder.call(element, *inputs)


class Elementwise(PerElement):
    """An op on broadcast operands, element by element.

    :attr:`chain` gives the partial derivatives once, each already multiplied by the outer
    derivative: ``chain[k](v, y, *xs)`` is v ∂y/∂x_k.  With an adjoint for v, this is the reverse
    rule; with a tangent, the forward rule.  Return ``v`` itself where the derivative is 1.

    If the op selects an operand by value, :meth:`choice` returns the condition, and the rule is
    masked by it.
    """

    is_in_place = True
    in_expressions = True
    chain: ClassVar[tuple[Chain, ...]] = ()
    constant_slopes: ClassVar[bool] = False
    """Whether all derivatives are fixed numbers, so that v = 0 gives 0 for all operands."""

    def infer(self, *types: Any) -> Type:
        first = types[0]
        for other in types:
            if other is not first:
                return self._infer(*types)
        if type(first) is not TensorType or type(self).infer is not Elementwise.infer:
            return self._infer(*types)  # a class that changes the result is asked each time
        key = self, len(types)
        found: Type | None = first.inferred.get(key)
        if found is None:
            found = first.inferred[key] = self._infer(*types)
        return found

    def _infer(self, *types: Any) -> Type:
        tensors = tensor_types(*types)
        shape = tensors[0].shape
        for other in tensors[1:]:
            if other.shape != shape:
                shape = broadcast_shapes(*[tensor.shape for tensor in tensors])
                break
        dtype = self.result_dtype(*[tensor.dtype for tensor in tensors])
        weak = dtype.kind != "b" and all(tensor.weak for tensor in tensors)
        return TensorType(dtype, shape, weak=weak)

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype of the result: what NumPy's function gives."""
        if isinstance(type(self).numpy, str) and dtypes[0].char in "fd" and len(set(dtypes)) == 1:
            return dtypes[0]  # as SciPy's ufuncs do; it is imported when they compute
        function = self.ufunc()
        return np.result_type(*dtypes) if function is None else ufunc_dtype(function, *dtypes)

    def ufunc(self) -> np.ufunc | None:
        """Return the ufunc that says which dtypes are computed: :attr:`numpy`, if it is one."""
        function = resolve(type(self).numpy)
        return function if isinstance(function, np.ufunc) else None

    def operand_dtypes(self, *dtypes: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
        """Return the dtypes in which NumPy computes; its ufuncs compute float16 as float32."""
        function = self.ufunc()
        if function is None:
            return (self.result_dtype(*dtypes),) * len(dtypes)
        dtypes = function.resolve_dtypes((*dtypes, None))[:-1]
        return tuple(np.dtype("float32") if dtype == "float16" else dtype for dtype in dtypes)

    def differentiable(self, slot: int) -> bool:
        return self.chain[slot] is not None if slot < len(self.chain) else False

    def choice(self, slot: int, out: Node, *inputs: Node) -> tuple[Node, bool] | None:
        """Return a condition, and whether it must hold for operand ``slot`` to be selected.

        Elsewhere the result does not depend on the operand.  ``None`` if it depends on it
        everywhere.
        """
        return None

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        """Return v ∂out/∂inputs[slot] where the operand is selected: the driver masks the rest."""
        rule = self.chain[slot]
        return None if rule is None else rule(adjoint, out, *inputs)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return self.reverse(slot, tangent, out, *inputs)


def mask(condition: Node, v: Node) -> Node:
    """Return ``where(condition, v, 0)``."""
    result: Node = call("where", condition, v, 0)
    return result


class Unary(Elementwise):
    """An elementwise op of one operand; its one instance is the public function."""

    def __call__(self, x: Operand) -> Node:
        if isinstance(x, Node) and (known := x.type.inferred.get((self, 1))) is not None:
            return Node(self, (x,), known)
        return apply(self, as_node(x))


class Binary(Elementwise):
    """An elementwise op of two operands; its one instance is the public function."""

    def __call__(self, x: Operand, y: Operand) -> Node:
        return apply(self, *_both(x, y))


class Arithmetic(Binary):
    """A binary op of numbers, which does not take a Python or NumPy bool beside a node.

    It would most likely be ``a == b`` on nodes, which compares identity.
    """

    def __call__(self, x: Operand, y: Operand) -> Node:
        if isinstance(x, Node) and isinstance(y, Node) and x.type is y.type and not x.type.weak:
            known = x.type.inferred.get((self, 2))  # most nodes of large graphs
            return apply(self, x, y) if known is None else Node(self, (x, y), known)
        refuse_flags(self.name, x, y)
        return apply(self, *_both(x, y))


def _both(x: Operand, y: Operand) -> tuple[Node, ...]:
    """Return what :func:`as_nodes` does, fast for strong nodes and for one beside a number."""
    if isinstance(x, Node) and not x.type.weak:
        if isinstance(y, Node):
            if not y.type.weak:
                return x, y
        elif type(y) in _NUMBERS:
            return x, as_node(y, x)
    elif type(x) in _NUMBERS and isinstance(y, Node) and not y.type.weak:
        return as_node(x, y), y
    return as_nodes(x, y)


def refuse_flags(name: str, x: Operand, y: Operand) -> None:
    """Raise the error for a Python or NumPy bool among the operands of arithmetic, if there is one.

    Raises
    ------
    GraphTypeError
    """
    if type(x) not in _FLAGS and type(y) not in _FLAGS:
        return
    with reporting(name, *[operand for operand in (x, y) if isinstance(operand, Node)]):
        raise GraphTypeError(
            f"{x if type(x) in _FLAGS else y} is not a number: == on nodes compares identity and "
            "gives a bool",
            remedy="Write sm.equal(x, y) to compare values, float(flag) for a number.",
        )


class Predicate(Elementwise):
    """An elementwise op with a boolean result, which has no derivative."""

    finite_slopes = True

    def differentiable(self, slot: int) -> bool:
        return False

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return np.dtype(bool)


class FixedLinear(Op):
    """An op that is linear, with coefficients that are never negative and depend on shapes only.

    Its rules therefore apply to conditions as they do to adjoints and tangents.
    """

    finite_slopes = True

    def reverse_active(
        self, slot: int, adjoint: Node, active: Callable[[], Node], out: Node, *inputs: Node
    ) -> Node | None:
        return self.reverse(slot, adjoint, out, *inputs)

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        moved = self.reverse(slot, as_number(active), out, *inputs)
        assert moved is not None
        return as_truth(moved)

    def active_output(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        tangents: list[Node | None] = [None] * len(inputs)
        tangents[slot] = as_number(active)
        (moved,) = [term for term in self.forward_terms(tangents, out, *inputs) if term is not None]
        return as_truth(moved)

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        if self.elements == "moved":
            pairs = zip(labels, inputs, strict=True)
            values = [_labels_or_value(sets, array, x) for array, x in pairs]
            missing = any(value is None for value in values)
            return None if missing else np.asarray(self.kernel()(*values))
        if self.elements == "added":
            return self._added(sets, labels, out, inputs)
        return None

    def _added(
        self, sets: IndexSets, labels: Sequence[Any], out: Node, inputs: Sequence[Node]
    ) -> Any:
        places, sources = [], []
        for slot, array in enumerate(labels):
            if array is None:
                continue
            seed = Node(None, (), out.type)
            found = _moved_numbers(self.reverse(slot, seed, out, *inputs), seed, inputs, sets)
            if found is None:
                return None
            places.append(found.ravel())
            sources.append(np.broadcast_to(array, found.shape).ravel())
        flat, source = np.concatenate(places), np.concatenate(sources)
        return sets.united(flat[flat > 0] - 1, source[flat > 0], shape_of(out))


def _labels_or_value(sets: IndexSets, labels: Any, x: Node) -> Any:
    """Return labels; no labels for an input without any; the value of an input of integers."""
    if labels is not None:
        return labels
    return np.zeros(shape_of(x), np.intp) if x.type.is_float else sets.value(x)


def _moved_numbers(moved: Node | None, seed: Node, inputs: Sequence[Node], sets: IndexSets) -> Any:
    """Return ``moved`` for a ``seed`` of the numbers of its elements, counted from 1."""
    shape = shape_of(seed)
    numbers = np.arange(1, math.prod(shape) + 1).reshape(shape)
    values: dict[Node, Any] = {seed: numbers}
    assert moved is not None
    for node in topological_order([moved], stop={seed, *inputs}):
        if node is seed:
            continue
        if node.op is None or node in inputs:
            values[node] = _labels_or_value(sets, None, node)
        else:
            values[node] = node.op.kernel()(*[values[source] for source in node.inputs])
        if values[node] is None:
            return None
    return np.asarray(values[moved])


def as_number(condition: Node) -> Node:
    """Return 1 where a condition holds, else 0, for ops that do not accept booleans."""
    result: Node = call("cast", condition, "float32")
    return result


def as_truth(number: Node) -> Node:
    """Return where a number is not 0."""
    result: Node = call("not_equal", number, 0)
    return result


class Linear(FixedLinear):
    """An op that is linear in its one tensor input: forward mode applies it to the tangent."""

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(self, *inputs[:slot], tangent, *inputs[slot + 1 :])


class JointlyLinear(FixedLinear):
    """An op that is linear in all its differentiable inputs at once, such as concatenation."""

    def forward_terms(
        self, tangents: Sequence[Node | None], out: Node, *inputs: Node
    ) -> list[Node | None]:
        zeros_like = FUNCTIONS["zeros_like"]
        terms = [
            x if not self.differentiable(slot) else zeros_like(x) if t is None else t
            for slot, (t, x) in enumerate(zip(tangents, inputs, strict=True))
        ]
        return [apply(self, *terms)]


class Multilinear(Linear):
    """An op that is linear in each of its inputs: forward mode replaces one at a time.

    A condition moves to one input as an adjoint would if the others were ones.  An infinity or NaN
    in the others must not reach places where the adjoint is 0, so they are masked where it is 0
    throughout.
    """

    def reverse_active(
        self, slot: int, adjoint: Node, active: Callable[[], Node], out: Node, *inputs: Node
    ) -> Node | None:
        guarded = list(inputs)
        for k, x in enumerate(inputs):
            if k != slot and self.differentiable(k):
                guarded[k] = mask(_fitting(self.active_input(k, active(), out, *inputs), x), x)
        return self.reverse(slot, adjoint, out, *guarded)

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        return super().active_input(slot, active, out, *_ones_beside(slot, inputs))

    def active_output(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        return super().active_output(slot, active, out, *_ones_beside(slot, inputs))


def _fitting(condition: Node, like: Node) -> Node:
    """Return a condition reduced to the shape of ``like``: true if it holds in any copy."""
    (type_,) = tensor_types(condition.type)
    (wanted,) = tensor_types(like.type)
    if broadcast_shapes(type_.shape, wanted.shape) == wanted.shape:
        return condition
    copies = call("multiply", as_number(condition), call("ones_like", like))
    return as_truth(call("sum_like", copies, like))


def _ones_beside(slot: int, inputs: Sequence[Node]) -> list[Node]:
    ones_like = FUNCTIONS["ones_like"]
    return [x if k == slot or not x.type.is_float else ones_like(x) for k, x in enumerate(inputs)]


def promoted(*arrays: Any) -> list[Any]:
    """Return arrays in their common dtype: a kernel of many steps would round to narrower ones."""
    dtype = np.result_type(*arrays)
    return [x if x.dtype == dtype else x.astype(dtype) for x in arrays]


def wide_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which elements are counted and added up: float32 for float16.

    A float16 cannot count beyond 2048 in steps of one, and its largest number is 65504.
    """
    return np.result_type(dtype, np.float32)


def float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the floating dtype in which NumPy computes a mean of ``dtype``."""
    return dtype if dtype.kind == "f" else np.dtype("float64")


def is_of_numbers(graph: Graph) -> bool:
    """Return whether no value has axes and all ops are elementwise, so that there are no loops."""
    return all(issubclass(kind, PerElement) for kind in graph.kinds) and all(
        isinstance(type_, TensorType) and type_.shape == () for type_ in graph.types()
    )
