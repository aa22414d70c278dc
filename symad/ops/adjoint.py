"""The ops that derivatives add to a graph: identity and sum nodes, seeds, shape repairs, casts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeGuard

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.index_sets import IndexSets, Labels
from symad.graph.node import Constant, Node, apply
from symad.graph.op import call, explained
from symad.graph.sample import Sample, integers, reals
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.base import (
    Elementwise,
    FixedLinear,
    JointlyLinear,
    Linear,
    Operand,
    PerElement,
    Unary,
    as_node,
    as_nodes,
    register,
    require_cpu,
    tensor_types,
)
from symad.ops.domains import difference
from symad.types import (
    StructureType,
    TensorType,
    Type,
    UnknownShape,
    as_dtype,
    broadcast_shapes,
    compatible_shapes,
    format_shape,
)

Array = np.ndarray[Any, Any]


def _same(x: Any) -> Any:
    return x


def _unchanged(builder: ScalarBuilder, x: Value) -> Value:
    return x


class Identity(PerElement, Linear):
    """Return ``x``: the node for a local derivative of 1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.identity(sm.constant(2.0)).eval()
    np.float64(2.0)
    """

    name = "identity"
    short = "1"
    sign = "as inputs"
    operations = 0
    numpy = staticmethod(_same)
    element = _unchanged
    text = latex = "{0}"
    is_view = True
    samples = (Sample(lambda x: identity(x), [reals(3)]),)

    def __call__(self, x: Operand) -> Node:
        return apply(self, as_node(x))

    def infer(self, *types: Any) -> Type:
        result: Type = types[0]
        return result

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return adjoint

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        return labels[0]


class StopGradient(Unary):
    """Return ``x`` as a constant for differentiation: its derivative is zero.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> sm.gradients(x * sm.stop_gradient(x), x).eval({x: 3.0})
    np.float64(3.0)
    """

    name = "stop_gradient"
    in_expressions = False
    finite_slopes = True
    operations = 0
    numpy = staticmethod(_same)
    element = _unchanged
    is_view = True
    chain = (None,)
    samples = (Sample(lambda x: stop_gradient(x) + x, [reals(3)], order=0),)


def _add_n(*terms: Any) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = _add_two(total, term)
    return total


def _add_two(a: Any, b: Any) -> Any:
    """Add arrays, or structures item by item; an absent item is zero."""
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, dict):
        return {key: _add_two(a[key], b[key]) for key in a}
    if isinstance(a, (tuple, list)):
        return type(a)(map(_add_two, a, b))
    return a + b


def _add_scalars(b: ScalarBuilder, *terms: Value) -> Value:
    total = terms[0]
    for term in terms[1:]:
        dtype = np.result_type(b.dtype(total), b.dtype(term))
        total = b.add(b.cast(total, dtype), b.cast(term, dtype))
    return total


class AddN(PerElement, JointlyLinear):
    """Add any number of terms: the sum node for several partial adjoints.

    Adjoints of structures add item by item, where an absent item is zero.
    """

    name = "add_n"
    short = "Σ"
    sign = "as inputs"
    counted_as = "additions"
    domain = difference
    numpy = staticmethod(_add_n)
    element = _add_scalars
    text = latex = " + "
    precedence = 1
    commutative = True
    samples = (Sample(lambda a, b, c: add_n([a, b, c]), [reals(3), reals(3), reals(2, 1)]),)

    def flops(self, result: Any, *types: Any) -> int:
        return (len(types) - 1) * int(result.size)

    def infer(self, *types: Any) -> Type:
        total: Type = types[0]
        for other in types[1:]:
            if other is not total or total.weak or not isinstance(total, TensorType):
                total = _sum_type(total, other)
        return total

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return adjoint

    def forward_terms(
        self, tangents: Sequence[Node | None], out: Node, *inputs: Node
    ) -> list[Node | None]:
        if isinstance(out.type, StructureType):  # in which absent items are zero
            return list(tangents)
        return super().forward_terms(tangents, out, *inputs)

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        if isinstance(out.type, StructureType):
            return _joined_items(sets, labels)
        return super().dependence(sets, labels, out, *inputs)


_ADD_N = AddN()


def _joined_items(sets: IndexSets, labels: Sequence[Labels]) -> Labels:
    present = [each for each in labels if each is not None]
    if not present or not isinstance(present[0], dict):
        return sets.joined(*present) if present else None
    return {key: _joined_items(sets, [each[key] for each in present]) for key in present[0]}


def _sum_type(a: Type, b: Type) -> Type:
    if isinstance(a, StructureType) and isinstance(b, StructureType):
        if (a.kind, a.keys) != (b.kind, b.keys):
            raise GraphTypeError(f"structures {a} and {b} cannot be added")
        fields = [
            (key, x if y is None else y if x is None else _sum_type(x, y))
            for (key, x), (_, y) in zip(a.fields, b.fields, strict=True)
        ]
        return StructureType(a.kind, tuple(fields))
    x, y = tensor_types(a, b)
    return TensorType(np.result_type(x.dtype, y.dtype), broadcast_shapes(x.shape, y.shape))


def _are_alike(terms: Sequence[Operand]) -> TypeGuard[Sequence[Node]]:
    """Return whether all terms are arrays of one type, which is not weak: most sum nodes."""
    first = terms[0]
    if not isinstance(first, Node) or not isinstance(first.type, TensorType) or first.type.weak:
        return False
    type_ = first.type
    for term in terms:
        if not isinstance(term, Node) or term.type is not type_:
            return False
    return True


@explained
def add_n(terms: Sequence[Operand]) -> Node:
    """Return the sum of ``terms`` as one node.

    Parameters
    ----------
    terms : sequence of nodes, numbers or arrays
        They broadcast; structures add item by item.

    Raises
    ------
    GraphTypeError
        If there are no terms.

    Examples
    --------
    >>> import symad as sm
    >>> sm.add_n([sm.constant(1.0), 2.0]).eval()
    np.float64(3.0)
    """
    if not terms:
        raise GraphTypeError("add_n needs at least one term")
    if len(terms) > 1 and _are_alike(terms):
        return Node(_ADD_N, tuple(terms), terms[0].type)
    nodes = as_nodes(*terms)
    return identity(nodes[0]) if len(nodes) == 1 else apply(_ADD_N, *nodes)


class _Filled(Elementwise):
    """A constant array of the shape and dtype of the operand."""

    fill: ClassVar[float]
    operations = 0
    in_expressions = False
    finite_slopes = True

    def __call__(self, x: Operand, dtype: Any = None, *, device: Any = None) -> Node:
        require_cpu(device)
        filled = apply(self, as_node(x))
        return filled if dtype is None else cast(filled, dtype)

    def reads(self, slot: int) -> bool:
        return False

    def scalar(self, builder: ScalarBuilder, *inputs: Value) -> Value:
        return builder.constant(self.fill, builder.dtype(inputs[0]))

    def differentiable(self, slot: int) -> bool:
        return False

    def specialise(self, *inputs: Node) -> Node | None:
        type_ = inputs[0].type
        if isinstance(type_, TensorType) and type_.shape == ():
            return Constant(self.fill, type_.dtype)
        return None


class OnesLike(_Filled):
    """Return ones of the shape and dtype of ``x``, or of another ``dtype``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.ones_like(sm.constant([1.0, 2.0])).eval()
    array([1., 1.])
    """

    name = "ones_like"
    short = "1"
    symbols = "ones_like({0})"
    numpy = np.ones_like
    fill = 1
    samples = (Sample(lambda x: ones_like(x) * x, [reals(3)]),)


class ZerosLike(_Filled):
    """Return zeros of the shape and dtype of ``x``, or of another ``dtype``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.zeros_like(sm.constant([1.0, 2.0])).eval()
    array([0., 0.])
    """

    name = "zeros_like"
    short = "0"
    symbols = "zeros_like({0})"
    numpy = np.zeros_like
    fill = 0
    samples = (Sample(lambda x: zeros_like(x) + x, [reals(3)]),)


class Cast(Elementwise):
    """Convert to another dtype, as ``x.astype(dtype)`` does where C defines what that is.

    For floats outside the range of the integer dtype, NumPy's result depends on the processor.
    Here NaN becomes 0, and any other value the nearest integer of the dtype.
    """

    dtype: np.dtype[Any]

    name = "cast"
    in_expressions = False
    operations = 0
    constant_slopes = finite_slopes = True
    samples = (
        Sample(lambda x: cast(x, "float64"), [reals(3)]),
        Sample(lambda x: cast(x, "float32") * 1, [reals(3)], label="float32"),
        Sample(lambda n: cast(n, "float64"), [integers(3)], label="from integer"),
    )

    @staticmethod
    def numpy(x: Any, dtype: Any) -> Any:
        x, dtype = np.asarray(x), np.dtype(dtype)
        if x.dtype.kind != "f" or dtype.kind not in "iu":
            return x.astype(dtype)[()]
        limits = np.iinfo(dtype)
        wide = x if x.itemsize > 2 else x.astype("float32")  # float16 ends at 65504
        end = 2.0 ** (limits.bits - (dtype.kind == "i"))
        fits = (wide >= limits.min) & (wide < end)
        if np.all(fits):
            return x.astype(dtype)[()]
        whole = np.where(fits, wide, 0).astype(dtype)
        least, most = dtype.type(limits.min), dtype.type(limits.max)
        return np.where(wide >= end, most, np.where(wide < limits.min, least, whole))[()]

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        return TensorType(self.dtype, x.shape)

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return self.dtype

    def operand_dtypes(self, *dtypes: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
        return dtypes

    def scalar(self, builder: ScalarBuilder, *inputs: Value) -> Value:
        return builder.cast(inputs[0], self.dtype)

    def differentiable(self, slot: int) -> bool:
        return self.dtype.kind == "f"

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return cast(adjoint, inputs[0].dtype)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return cast(tangent, out.dtype)


@explained
def cast(x: Operand, dtype: Any) -> Node:
    """Return ``x`` converted to ``dtype``; ``x`` itself if it has that dtype already.

    Parameters
    ----------
    x : node, number or array
    dtype : dtype

    Raises
    ------
    GraphTypeError
        If symad does not support the dtype.

    Notes
    -----
    A cast to an integer drops the fraction; NaN becomes 0, and a value out of range becomes the
    nearest integer of the dtype.  Between floating dtypes, the derivative is cast back; a cast to
    or from an integer or boolean has none.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cast(sm.constant([1.7, -1.7]), "int64").eval()
    array([ 1, -1])
    """
    node = as_node(x)
    wanted = as_dtype(dtype)
    (type_,) = tensor_types(node.type)
    return node if type_.dtype == wanted and not type_.weak else apply(Cast(wanted), node)


class ShapeRepair(FixedLinear):
    """An op that uses the value of its first input and only the shape of its second."""

    def infer(self, *types: Any) -> Type:
        x, like = tensor_types(*types)
        self.check(x, like)
        return TensorType(x.dtype, like.shape)

    def reads(self, slot: int) -> bool:
        return slot == 0

    def check(self, x: TensorType, like: TensorType) -> None:
        """Raise an error if ``x`` can never take the shape of ``like``."""

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(self, tangent, inputs[1])


def _sum_like(x: Any, like: Any) -> Any:
    wanted = np.shape(like)
    lead = np.ndim(x) - len(wanted)
    repeated = [lead + i for i, n in enumerate(wanted) if n == 1 != np.shape(x)[lead + i]]
    axes = (*range(lead), *repeated)
    return np.sum(x, axis=axes, dtype=x.dtype).reshape(wanted)[()] if axes else x


class SumLike(ShapeRepair):
    """Sum ``x`` over the broadcast axes, to the shape of ``like``: the transpose of broadcasting.

    Examples
    --------
    >>> import symad as sm
    >>> sm.sum_like(sm.constant([[1.0, 2.0], [3.0, 4.0]]), sm.constant([0.0, 0.0])).eval()
    array([4., 6.])
    """

    name = "sum_like"
    elements = "added"
    sign = "as inputs"
    counted_as = "sums"
    numpy = staticmethod(_sum_like)
    is_view = True
    samples = (
        Sample(lambda x, y: sum_like(x, y), [reals(4, 3, 2), reals(3, 1)]),
        Sample(lambda x, y: sum_like(x, y), [reals(3), reals()], label="to a scalar"),
        Sample(lambda x, y: sum_like(x, y), [reals(3), reals(3)], label="nothing to do"),
    )

    def flops(self, result: Any, *types: Any) -> int:
        return 0 if types[0].shape == result.shape else int(types[0].size)

    def traffic(self, result: Any, *types: Any) -> tuple[int, int]:
        return (0, 0) if types[0].shape == result.shape else (types[0].nbytes, result.nbytes)

    def __call__(self, x: Node, like: Node) -> Node:
        return apply(self, x, like)

    def check(self, x: TensorType, like: TensorType) -> None:
        if not compatible_shapes(x.shape, broadcast_shapes(x.shape, like.shape)):
            raise ShapeError(
                f"{format_shape(x.shape)} cannot be summed to {format_shape(like.shape)}"
            )

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return broadcast_like(adjoint, inputs[0])

    def specialise(self, *inputs: Node) -> Node | None:
        x, like = tensor_types(*[node.type for node in inputs])
        self.check(x, like)
        if x.shape == like.shape:
            return inputs[0]
        if not (x.is_static and like.is_static):
            return None
        wanted, given = _static(like), _static(x)
        lead = len(given) - len(wanted)
        repeated = [lead + i for i, n in enumerate(wanted) if n == 1 != given[lead + i]]
        total = call("sum", inputs[0], axis=(*range(lead), *repeated))
        return total if total.ndim == len(wanted) else call("reshape", total, wanted)


def _static(type_: TensorType) -> tuple[int, ...]:
    assert type_.is_static
    return type_.shape  # type: ignore[return-value]


def _broadcast_like(x: Any, like: Any) -> Any:
    return np.broadcast_to(x, np.shape(like)) if np.shape(x) != np.shape(like) else x


class BroadcastLike(ShapeRepair):
    """Repeat ``x`` to the shape of ``like``: the transpose of :class:`SumLike`.

    Examples
    --------
    >>> import symad as sm
    >>> sm.broadcast_like(sm.constant(1.0), sm.constant([0.0, 0.0])).eval()
    array([1., 1.])
    """

    name = "broadcast_like"
    elements = "moved"
    sign = "as inputs"
    numpy = staticmethod(_broadcast_like)
    is_view = True
    samples = (
        Sample(lambda x, y: broadcast_like(x, y), [reals(3, 1), reals(4, 3, 2)]),
        Sample(lambda x, y: broadcast_like(x, y), [reals(), reals(2)], label="from a scalar"),
    )

    def __call__(self, x: Node, like: Node) -> Node:
        return apply(self, x, like)

    def check(self, x: TensorType, like: TensorType) -> None:
        if not compatible_shapes(like.shape, broadcast_shapes(x.shape, like.shape)):
            raise ShapeError(
                f"{format_shape(x.shape)} cannot be broadcast to {format_shape(like.shape)}"
            )

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return sum_like(adjoint, inputs[0])

    def specialise(self, *inputs: Node) -> Node | None:
        x, like = tensor_types(*[node.type for node in inputs])
        self.check(x, like)
        if x.shape == like.shape:
            return inputs[0]
        if not like.is_static:
            return None
        return call("broadcast_to", inputs[0], _static(like))


def _reshape_like(x: Any, like: Any) -> Any:
    return np.reshape(x, np.shape(like))


class ReshapeLike(ShapeRepair):
    """Reshape ``x`` to the shape of ``like``, which has the same number of elements.

    Examples
    --------
    >>> import symad as sm
    >>> sm.reshape_like(sm.constant([1.0, 2.0]), sm.constant([[0.0], [0.0]])).eval()
    array([[1.],
           [2.]])
    """

    name = "reshape_like"
    elements = "moved"
    sign = "as inputs"
    numpy = staticmethod(_reshape_like)
    is_view = True
    samples = (Sample(lambda x, y: reshape_like(x, y), [reals(6), reals(2, 3)]),)

    def __call__(self, x: Node, like: Node) -> Node:
        return apply(self, x, like)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return reshape_like(adjoint, inputs[0])

    def specialise(self, *inputs: Node) -> Node | None:
        x, like = tensor_types(*[node.type for node in inputs])
        if x.shape == like.shape:
            return inputs[0]
        if not like.is_static:
            return None
        return call("reshape", inputs[0], _static(like))


def _reshape_outer(x: Any, a: Any, b: Any) -> Any:
    return np.reshape(x, (*np.shape(a), *np.shape(b)))


class ReshapeOuter(ShapeRepair):
    """Reshape ``x`` to the shape of ``a`` followed by that of ``b``: the form of a Jacobian.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.constant([0.0, 0.0]), sm.constant([[0.0]])
    >>> sm.reshape_outer(sm.constant([1.0, 2.0]), a, b).type
    f64[2,1,1]
    """

    name = "reshape_outer"
    elements = "moved"
    sign = "as inputs"
    numpy = staticmethod(_reshape_outer)
    is_view = True
    samples = (Sample(lambda x: reshape_outer(x, x[0], x[:, 0]), [reals(2, 3)]),)

    def __call__(self, x: Node, a: Node, b: Node) -> Node:
        return apply(self, x, a, b)

    def infer(self, *types: Any) -> Type:
        x, a, b = tensor_types(*types)
        if isinstance(a.shape, UnknownShape) or isinstance(b.shape, UnknownShape):
            return x.with_shape(UnknownShape.fresh())
        return x.with_shape((*a.shape, *b.shape))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return reshape_like(adjoint, inputs[0])

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(self, tangent, *inputs[1:])

    def specialise(self, *inputs: Node) -> Node | None:
        _, a, b = tensor_types(*[node.type for node in inputs])
        if not (a.is_static and b.is_static):
            return None
        return call("reshape", inputs[0], (*_static(a), *_static(b)))


identity: Identity = register(Identity(), numpy=("positive", "conjugate", "copy"))
positive = identity
stop_gradient: StopGradient = register(StopGradient())
ones_like: OnesLike = register(OnesLike())
zeros_like: ZerosLike = register(ZerosLike())
sum_like: SumLike = register(SumLike())
broadcast_like: BroadcastLike = BroadcastLike()
reshape_like: ReshapeLike = ReshapeLike()
reshape_outer: ReshapeOuter = register(ReshapeOuter())
register(add_n)
register(cast)
register(cast, "astype")


def match(value: Node, like: Node, fit: ShapeRepair) -> Node:
    """Return ``value`` with the shape and dtype of ``like``; ``value`` itself if they agree.

    Parameters
    ----------
    value : Node
    like : Node
    fit : ShapeRepair
        ``sum_like`` for adjoints, ``broadcast_like`` for tangents.
    """
    if isinstance(value.type, StructureType) or isinstance(like.type, StructureType):
        return value
    if value.type.shape != like.type.shape:
        value = apply(fit, value, like)
    return cast(value, like.type.dtype)
