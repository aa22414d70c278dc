"""PyTorch's words on symad's graphs: a small eager tensor.

A :class:`Tensor` is a node of a graph, together with its value.  In eager mode, the value of a node
is computed as soon as the node is made, by the NumPy function of its op.  ``y.backward()`` extends
the graph by adjoints, as :func:`symad.gradients` does, and computes them from the values that are
known.  In :func:`lazy` mode, the same code only builds the graph, and :func:`compile` turns it into
a function.

All functions of symad are functions of tensors here: ``eager.exp(x)``, ``eager.concat([x, y])``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np

import symad as sm
from symad.errors import FeedError, GradientError
from symad.graph.nested import leaves, map_leaves
from symad.graph.traverse import topological_order

__all__ = ["Tensor", "apply", "compile", "lazy", "no_grad", "placeholder"]

Array = np.ndarray[Any, Any]
Method = Callable[["Tensor", Any], "Tensor"]

_RECORDS = ContextVar("records", default=True)
_IS_LAZY = ContextVar("is_lazy", default=False)


@contextmanager
def _setting(mode: ContextVar[bool], value: bool) -> Iterator[None]:
    token = mode.set(value)
    try:
        yield
    finally:
        mode.reset(token)


def no_grad() -> AbstractContextManager[None]:
    """Return a context in which results have no derivative; it also decorates functions.

    Examples
    --------
    >>> x = Tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     print(x * x)
    Tensor(4.)
    """
    return _setting(_RECORDS, False)


def lazy() -> AbstractContextManager[None]:
    """Return a context in which nothing is computed until someone asks for a value.

    Examples
    --------
    >>> x = Tensor(2.0)
    >>> with lazy():
    ...     y = x * x
    ...     print(y)
    Tensor(x * x, not computed)
    >>> y.item()
    4.0
    """
    return _setting(_IS_LAZY, True)


def apply(function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Call a function of nodes with tensors; it returns tensors in place of nodes.

    Parameters
    ----------
    function : callable
    *args, **keywords
        Its arguments, in which tensors replace nodes, also inside of lists, tuples and dicts.

    Examples
    --------
    >>> apply(sm.maximum, Tensor([1.0, 5.0]), 3.0)
    Tensor([3., 5.])
    """
    tensors = [leaf for leaf in leaves((args, keywords)) if isinstance(leaf, Tensor)]
    args, keywords = map_leaves(_node_of, (args, keywords))
    made = function(*args, **keywords)
    return map_leaves(lambda leaf: _result(leaf, tensors), made)


def _result(made: Any, tensors: Sequence[Tensor]) -> Any:
    """Return the tensor of a new node, computed at once unless the mode is lazy."""
    if not isinstance(made, sm.Node):
        return made
    kind = type(tensors[0]) if tensors else Tensor
    is_sought = any(tensor.requires_grad for tensor in tensors) and made.dtype.kind == "f"
    records = is_sought and _RECORDS.get()
    if _IS_LAZY.get():
        node = made if _RECORDS.get() else sm.stop_gradient(made)
        return kind._make(node, None, tensors, records)
    (value,) = _compute([made], {tensor.node: tensor.value for tensor in tensors})
    return kind._make(made, value, tensors, True) if records else kind._leaf(value)


def _compute(nodes: Iterable[sm.Node], known: Mapping[sm.Node, Array]) -> list[Array]:
    """Return the values of nodes: one op after another, inputs before users."""
    wanted, values = list(nodes), dict(known)
    with np.errstate(all="ignore"):
        for node in topological_order(wanted, stop=known):
            if node not in values:
                values[node] = _value_of(node, [values[source] for source in node.inputs])
    return [values[node] for node in wanted]


def _value_of(node: sm.Node, inputs: Sequence[Array]) -> Array:
    """Return the value of one node by the NumPy function of its op."""
    if isinstance(node, sm.Constant):
        return node.value
    if node.op is None:
        raise FeedError(
            f"{node.label!r} is a placeholder and has no value",
            where=node.site.describe(),
            remedy="Compile what depends on it with eager.compile, and feed the function.",
        )
    return np.asarray(node.op.kernel()(*inputs))


def _node_of(value: Any) -> Any:
    return value.node if isinstance(value, Tensor) else value


def _binary(function: Callable[[Any, Any], Any]) -> tuple[Method, Method]:
    """Return the methods of an operator with the tensor on its left, and on its right."""
    return (
        lambda self, other: apply(function, self, other),
        lambda self, other: apply(function, other, self),
    )


def _unary(function: Callable[[Any], Any]) -> Callable[[Tensor], Tensor]:
    return lambda self: apply(function, self)


def _in_place(function: Callable[[Any, Any], Any]) -> Method:
    """Return the method of ``w -= ...``, which gives a leaf new data."""

    def update(self: Tensor, other: Any) -> Tensor:
        if not self.is_leaf or not self.requires_grad:
            return apply(function, self, other)  # type: ignore[no-any-return]
        if _RECORDS.get():
            raise GradientError(
                f"{self.node!r} requires a gradient and cannot be changed in place",
                where=self.node.site.describe(),
                remedy="Change it inside of `with eager.no_grad():`.",
            )
        self.data = apply(function, self, other)
        return self

    return update


class Tensor:
    """A node of a graph and its value.

    Arrays are never changed in place: new data is a new array.

    Parameters
    ----------
    data : array, number, nested list or Tensor
        Copied.
    requires_grad : bool
        Whether :meth:`backward` computes a gradient for it.
    dtype : dtype, optional
    name : str
        What pictures and formulas of the graph call it.

    Attributes
    ----------
    node : Node
    requires_grad : bool
    grad : Tensor or None
        The sum of the gradients from all calls of :meth:`backward`.
    inputs : dict from Tensor to array
        The tensors from which this one was computed, with their values at that time; empty for a
        leaf.

    Examples
    --------
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (x**2).sum()
    >>> loss.backward()
    >>> x.grad
    Tensor([2., 4.])
    """

    __array_ufunc__ = None  # so that NumPy leaves array * tensor to the tensor
    __hash__ = object.__hash__

    node: sm.Node
    requires_grad: bool
    grad: Tensor | None
    inputs: dict[Tensor, Array | None]

    def __init__(
        self, data: Any, requires_grad: bool = False, dtype: Any = None, name: str = "x"
    ) -> None:
        value = np.array(data.value if isinstance(data, Tensor) else data, dtype)
        if requires_grad and value.dtype.kind != "f":
            raise GradientError(
                f"a tensor of dtype {value.dtype} cannot require a gradient",
                remedy="Only floating-point numbers have one: write 1.0 for 1.",
            )
        self._set(sm.Variable(name, value.shape, value.dtype), value, (), requires_grad)

    def _set(
        self, node: sm.Node, value: Array | None, inputs: Iterable[Tensor], requires_grad: bool
    ) -> None:
        self.node, self._value, self.requires_grad = node, value, requires_grad
        self.inputs = {tensor: tensor._value for tensor in inputs}
        self.grad, self._keeps_grad = None, False

    @classmethod
    def _make(
        cls, node: sm.Node, value: Array | None, inputs: Iterable[Tensor], requires_grad: bool
    ) -> Tensor:
        tensor = cls.__new__(cls)
        tensor._set(node, value, inputs, requires_grad)
        return tensor

    @classmethod
    def _leaf(cls, value: Array) -> Tensor:
        return cls._make(sm.Variable("x", value.shape, value.dtype), value, (), False)

    # ---- values

    @property
    def value(self) -> Array:
        """The array; that of a lazy tensor is computed now."""
        if self._value is None:
            (self._value,) = _compute([self.node], _known(self))
        return self._value

    @property
    def data(self) -> Tensor:
        """The value without its history; that of a leaf can be set, to a tensor or an array."""
        return self.detach()

    @data.setter
    def data(self, data: Any) -> None:
        new = np.array(data.value if isinstance(data, Tensor) else data)
        fits = new.shape == self.shape and np.can_cast(new.dtype, self.dtype, "same_kind")
        if not (self.is_leaf and fits):
            raise FeedError(
                f"{new.dtype} data of shape {new.shape} cannot replace that of {self.node!r}",
                where=self.node.site.describe(),
                remedy="Only a leaf takes new data, of its own shape and kind.",
            )
        self._value = new.astype(self.dtype)

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes of the axes, which are known before the value is."""
        return tuple(self.node.shape)

    @property
    def dtype(self) -> Any:
        """The dtype."""
        return self.node.dtype

    def numpy(self) -> Array:
        """Return a copy of the value."""
        return self.value.copy()

    def item(self) -> Any:
        """Return the value of a tensor with one element as a Python number."""
        return self.value.item()

    def detach(self) -> Tensor:
        """Return a tensor of the same value that no derivative reaches."""
        with no_grad():
            return apply(lambda node: node, self)  # type: ignore[no-any-return]

    # ---- derivatives

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was not computed from others."""
        return not self.inputs

    def retain_grad(self) -> None:
        """Let :meth:`backward` store the gradient of this tensor although it is not a leaf."""
        self._keeps_grad = True

    def history(self) -> list[Tensor]:
        """Return the tensors that this one was computed from, and itself, in topological order.

        Examples
        --------
        >>> x = Tensor(3.0, requires_grad=True)
        >>> [tensor.item() for tensor in (2 * x + x).history()]
        [3.0, 6.0, 9.0]
        """
        order: dict[Tensor, None] = {}
        stack = [self]
        while stack:
            waiting = (tensor for tensor in stack[-1].inputs if tensor not in order)
            following = next(waiting, None)
            if following is None:
                order[stack.pop()] = None
            else:
                stack.append(following)
        return list(order)

    def backward(self, gradient: Any = None, create_graph: bool = False) -> None:
        """Add the gradient of this tensor to the ``grad`` of each leaf that requires one.

        Parameters
        ----------
        gradient : array or Tensor, optional
            The adjoint of this tensor; by default 1, for a tensor of one element.
        create_graph : bool
            Whether gradients keep their nodes, so that they can be differentiated again.

        Raises
        ------
        GradientError
            If this tensor does not require a gradient, has several elements and no adjoint, or is
            made from a leaf that has got new data since.
        """
        self._require_gradient(gradient is not None)
        targets = [t for t in self.history() if t.requires_grad and (t.is_leaf or t._keeps_grad)]
        sources = [self] if gradient is None else [self, apply(sm.asarray, gradient)]
        seed = None if gradient is None else sources[1].node
        adjoints: Any = sm.gradients(self.node, [t.node for t in targets], seed, unused="none")
        found = {t: node for t, node in zip(targets, adjoints, strict=True) if node is not None}
        values: Sequence[Array | None] = [None] * len(found)
        if not _IS_LAZY.get():
            values = _compute(found.values(), _known(*sources))
        for (target, node), value in zip(found.items(), values, strict=True):
            if value is None or create_graph:
                new = self._make(node, value, sources, create_graph)
            else:
                new = self._leaf(value)
            target.grad = new if target.grad is None else target.grad + new

    def _require_gradient(self, has_seed: bool) -> None:
        if not self.requires_grad:
            raise GradientError(
                f"backward() of {self.node!r}, which does not require a gradient",
                where=self.node.site.describe(),
                remedy="Compute it from a leaf with requires_grad=True, outside of no_grad().",
            )
        if not has_seed and self.shape.count(1) < len(self.shape):
            raise GradientError(
                f"backward() of {self.node!r} needs the adjoint of each of its elements",
                where=self.node.site.describe(),
                remedy="Reduce it to one number, as .sum() does, or write backward(adjoint).",
            )

    # ---- operations

    __add__, __radd__ = _binary(operator.add)
    __sub__, __rsub__ = _binary(operator.sub)
    __mul__, __rmul__ = _binary(operator.mul)
    __truediv__, __rtruediv__ = _binary(operator.truediv)
    __pow__, __rpow__ = _binary(operator.pow)
    __matmul__, __rmatmul__ = _binary(operator.matmul)
    __lt__, __gt__ = _binary(operator.lt)
    __le__, __ge__ = _binary(operator.le)
    __getitem__ = _binary(operator.getitem)[0]
    __iadd__, __isub__ = _in_place(operator.add), _in_place(operator.sub)
    __imul__, __itruediv__ = _in_place(operator.mul), _in_place(operator.truediv)
    __neg__, __abs__ = _unary(operator.neg), _unary(operator.abs)
    exp, log, relu, tanh = map(_unary, (sm.exp, sm.log, sm.relu, sm.tanh))

    def __eq__(self, other: Any) -> Any:
        return apply(sm.equal, self, other)

    def __ne__(self, other: Any) -> Any:
        return apply(sm.not_equal, self, other)

    @property
    def T(self) -> Tensor:
        """The tensor with its axes in reverse order."""
        return apply(sm.transpose, self)  # type: ignore[no-any-return]

    def sum(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Return the sum over axes, or over all."""
        return apply(sm.sum, self, axis=dim, keepdims=keepdim)  # type: ignore[no-any-return]

    def mean(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Return the mean over axes, or over all."""
        return apply(sm.mean, self, axis=dim, keepdims=keepdim)  # type: ignore[no-any-return]

    def argmax(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Return the place of the largest element."""
        return apply(sm.argmax, self, axis=dim, keepdims=keepdim)  # type: ignore[no-any-return]

    def reshape(self, *shape: int) -> Tensor:
        """Return the same elements in another shape."""
        return apply(sm.reshape, self, shape)  # type: ignore[no-any-return]

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Return the tensor with two axes exchanged."""
        return apply(sm.swapaxes, self, dim0, dim1)  # type: ignore[no-any-return]

    # ---- Python

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.value)

    def __len__(self) -> int:
        return len(self.node)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[place] for place in range(len(self)))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.array(self.value, dtype)

    def __repr__(self) -> str:
        if self._value is None:
            return f"Tensor({self.node}, not computed)"
        text = np.array2string(self._value, prefix="Tensor(", separator=", ")
        return f"Tensor({text}{', requires_grad=True' if self.requires_grad else ''})"


def _known(*tensors: Tensor) -> dict[sm.Node, Array]:
    """Return the values from which tensors are computed, by node."""
    known = {}
    for result in [each for tensor in tensors for each in tensor.history()]:
        for tensor, value in result.inputs.items():
            if value is not None and tensor._value is not value:
                raise GradientError(
                    f"{tensor.node!r} has got new data since {result.node!r} was made from it",
                    where=result.node.site.describe(),
                    remedy="Compute again what depends on the new data.",
                )
        if result._value is not None:
            known[result.node] = result._value
    return known


def placeholder(name: str, shape: Any, dtype: Any = "float64") -> Tensor:
    """Return a leaf without a value, for a graph that is built in lazy mode and fed later.

    Parameters
    ----------
    name : str
    shape : tuple
        The sizes of the axes: numbers, or names of sizes that are not known yet.
    dtype : dtype, optional

    Examples
    --------
    >>> x = placeholder("x", ("n",))
    >>> with lazy():
    ...     y = (x * x).sum()
    >>> compile([x], y)([3.0, 4.0])
    np.float64(25.0)
    """
    return Tensor._make(sm.Variable(name, shape, dtype), None, (), False)


def compile(inputs: Any, outputs: Any, **settings: Any) -> sm.Function:
    """Return a compiled function of the nodes of tensors, as :func:`symad.compile` does.

    Parameters
    ----------
    inputs : list or nested structure of Tensor
        Leaves that require a gradient must be among them; other leaves are constants.
    outputs : Tensor or nested structure of Tensor
    **settings
        As for :func:`symad.compile`.

    Examples
    --------
    >>> x, w = placeholder("x", ("n",)), Tensor(3.0, requires_grad=True, name="w")
    >>> with lazy():
    ...     (w * x).sum().backward()
    ...     step = compile([x, w], w - 0.5 * w.grad)
    >>> step([1.0, 2.0], 3.0)
    np.float64(1.5)
    """
    fed = set(map(_node_of, leaves(inputs)))
    before = (tensor for output in leaves(outputs) for tensor in output.history())
    free = (t for t in before if t.is_leaf and not t.requires_grad and t.node not in fed)
    fixed = {tensor.node: tensor.value for tensor in free if tensor._value is not None}
    results = map_leaves(_node_of, outputs)
    return sm.compile(map_leaves(_node_of, inputs), results, givens=fixed, **settings)


def __getattr__(name: str) -> Callable[..., Any]:
    """Return symad's function of that name as a function of tensors."""
    function = None if name.startswith("_") else getattr(sm, name)
    if not callable(function):
        raise AttributeError(
            f"{name!r} is no function of tensors; apply(function, ...) calls a function of a module"
        )
    return partial(apply, function)
