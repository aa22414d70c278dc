"""Op and Node: an operation with all its properties, and a value that it computes from others.

The two classes refer to one another, so they share a file.

An op is a small immutable object.  A stateless op is a class with one instance; the attributes of
an op are the annotated fields of its class, as in a dataclass, and ops compare by value.
The NumPy meaning of an op is a plain function of the input arrays, with the attributes passed as
keywords; running, printing as source and testing all use that one function.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, cast, dataclass_transform

from symad.errors import GraphTypeError, InternalError, SymadError, did_you_mean
from symad.graph.operators import FUNCTIONS, Operators
from symad.graph.provenance import Provenance, Role, Site, current_creation, current_trace
from symad.types import Type
from symad.visible import visible

if TYPE_CHECKING:
    from symad.graph.index_sets import IndexSets
    from symad.graph.sample import Sample

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

OP_CLASSES: dict[str, type[Op]] = {}
"""Every concrete op class by name: the op table."""


@dataclass_transform(frozen_default=True)
class Op:
    """One operation on graph values.

    A new op defines :attr:`numpy`, :meth:`infer`, :meth:`reverse`, :meth:`forward` and
    :attr:`samples`; the base classes in :mod:`symad.ops.base` supply most of these for elementwise
    and linear ops.
    """

    name: ClassVar[str] = ""
    """The name in the op table, in text and in errors; a class without one is abstract."""
    numpy: ClassVar[Callable[..., Any] | str]
    """The meaning of the op: a function of arrays (attributes as keywords), or the
    ``"module.name"`` of one that is imported on first use."""
    text: ClassVar[str] = ""
    """Template such as ``"{0} + {1}"``, or ``" + "`` to put between all inputs; empty prints as a
    call."""
    latex: ClassVar[str] = ""
    """LaTeX template such as ``r"\\sin {0}"``; empty prints as a call."""
    precedence: ClassVar[int] = 10
    """How tightly :attr:`text` binds: a comparison is -4, | -3, ^ -2, & -1, << 0, + 1, * 2, unary
    minus 3, ** 4, a call 10."""
    symbols: ClassVar[str] = ""
    """Template of mathematical symbols such as ``"{0}²"``; if empty, :attr:`text` in symbols."""
    short: ClassVar[str] = ""
    """Replaces :attr:`name` on nodes of pictures and in formulas of symbols: ``"ln"``."""
    commutative: ClassVar[bool] = False
    """Whether the inputs may be exchanged."""
    order_shows: ClassVar[bool] = False
    """Whether exchanging them may change the sign of a zero, as in ``maximum(0.0, -0.0)``."""
    sign: ClassVar[Literal["any", "nonnegative", "as inputs"]] = "any"
    """Whether a floating result is never less than 0 nor -0.0, always or if no input is; it may be
    NaN."""
    domain: ClassVar[str | Callable[..., str]] = ""
    """Where the op is undefined or infinite, and the remedy: a sentence, or a function of the
    result and the inputs, as numbers, that returns one; see :mod:`symad.ops.domains`."""
    derivative_domain: ClassVar[str] = ""
    """Where the derivative is undefined or infinite, and the remedy."""
    has_poles: ClassVar[bool] = False
    """Whether the result is infinite for some finite inputs, other than by overflow."""
    counted_as: ClassVar[
        Literal["additions", "multiplications", "sums", "products", "functions"]
    ] = "functions"
    """What :func:`symad.compare_derivatives` counts: one operation of this kind per element,
    additions of the summed elements, multiplications with additions, or function calls."""
    in_expressions: ClassVar[bool] = False
    """Whether expressions given as text (``symad trace "sin(x)"``) may call it by its name."""
    is_view: ClassVar[bool] = False
    """Whether the result may share memory with the first input (a structure: with all inputs)."""
    is_in_place: ClassVar[bool] = False
    """Whether the result may be written over an input of its type that no other node needs."""
    finite_slopes: ClassVar[bool] = False
    """Whether the value and the first derivatives are finite wherever the inputs are."""
    may_fail: ClassVar[bool] = False
    """Whether some input values are an error: matrices without an inverse or factor."""
    vectors: ClassVar[tuple[int, ...]] = ()
    """The inputs of an op on matrices that hold a vector for each matrix."""
    reads_all: ClassVar[bool] = True
    """Whether the result uses every element of the first input."""
    fills_all: ClassVar[bool] = True
    """Whether every element of the result depends on the input, unlike those of padding."""
    takes_any_rows: ClassVar[bool] = False
    """Whether :meth:`dependence` takes arrays whose number of rows is not known."""
    elements: ClassVar[Literal["mixed", "moved", "added"]] = "mixed"
    """What the op does with elements, for :meth:`dependence`: if they are moved, each element of
    the result is one of them or a constant; if they are added, each of them is added to elements of
    the result, so that the reverse rule moves them."""
    samples: ClassVar[Sequence[Sample]] = ()
    """Inputs on which the tests check the op; the tests fail for an op without samples."""

    _fields: ClassVar[tuple[str, ...]] = ()
    _instance: ClassVar[Op | None] = None
    """The one instance of a class without attributes."""

    # Ops are frozen dataclasses to type checkers.  The methods are written here, once, because
    # the standard decorator generates them for each class, which took half of the import time.

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        hints = {k: h for base in reversed(cls.__mro__) for k, h in _annotations(base).items()}
        cls._fields = tuple(key for key, hint in hints.items() if "ClassVar" not in str(hint))
        cls._instance = None
        if cls.__eq__ in (Op.__eq__, object.__eq__):
            kind: Any = Op if cls._fields else object  # an op without attributes equals itself only
            cls.__eq__, cls.__hash__ = kind.__eq__, kind.__hash__  # type: ignore[method-assign]
        name = cls.__dict__.get("name", "")
        if not name:
            return
        if name in OP_CLASSES:
            raise InternalError(f"two op classes are named {name!r}")
        OP_CLASSES[name] = cls
        for base in cls.__mro__:
            if "__call__" in vars(base):
                cls.__call__ = _explained(inspect.unwrap(vars(base)["__call__"]), name)  # type: ignore[method-assign]
                break

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        if cls._fields or cls._instance is None:
            made = super().__new__(cls)
            if not cls._fields:
                cls._instance = made
            return made
        return cls._instance  # type: ignore[return-value]

    def __init__(self, *args: Any, **keywords: Any) -> None:
        if not (args or keywords or self._fields):
            return
        values = dict(zip(self._fields, args, strict=False), **keywords)
        missing = [key for key in self._fields if key not in values and not hasattr(self, key)]
        if missing or len(args) > len(self._fields) or not values.keys() <= set(self._fields):
            raise TypeError(
                f"{type(self).__name__} takes the attributes {', '.join(self._fields) or 'nothing'}"
            )
        self.__dict__.update(values)

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"ops are immutable: {key!r} cannot be set")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        known: int | None = self.__dict__.get("_hash")
        if known is None:  # used many times when graphs are compiled
            known = self.__dict__["_hash"] = hash((type(self), *self._values().values()))
        return known

    def __getstate__(self) -> dict[str, Any]:
        """Return the pickled state, without the hash, which is valid in one process only."""
        return {key: value for key, value in self.__dict__.items() if key != "_hash"}

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self._values().items())
        return f"{type(self).__name__}({inside})"

    def attributes(self) -> dict[str, Any]:
        """Return the attributes by name: the keywords of :attr:`numpy`."""
        return self._values()

    def _values(self) -> dict[str, Any]:
        """Return the value of each field; an op may hide some of them from its kernel."""
        return {key: getattr(self, key) for key in self._fields}

    def with_attributes(self, **changed: Any) -> Self:
        """Return a copy with other values of some attributes."""
        return type(self)(**{**self._values(), **changed})

    def infer(self, *types: Any) -> Type:
        """Return the type of the result for inputs of ``types``.

        Raises
        ------
        GraphTypeError, ShapeError
            If the op does not accept such inputs.
        """
        raise InternalError(f"op {self.name!r} has no type inference: write {type(self)}.infer")

    def kernel(self) -> Callable[..., Any]:
        """Return the function of arrays that computes this op, with its attributes bound."""
        function = resolve(type(self).numpy)
        keywords = self.attributes() if self._fields else {}
        return partial(function, **keywords) if keywords else function

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        """Return the partial adjoint of input ``slot``: ``adjoint`` times ∂out/∂inputs[slot].

        Return ``adjoint`` itself where the local derivative is 1 (the driver then makes an identity
        node), and ``None`` where the output does not depend on the input in a differentiable way.
        Broadcasting is undone by the driver, not here.
        """
        raise SymadError(f"op {self.name!r} has no reverse rule")

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        """Return the contribution of the tangent of input ``slot`` to the tangent of ``out``."""
        raise SymadError(f"op {self.name!r} has no forward rule")

    def forward_terms(
        self, tangents: Sequence[Node | None], out: Node, *inputs: Node
    ) -> list[Node | None]:
        """Return the terms whose sum is the tangent of ``out``; an absent tangent is zero.

        By default one term per input; ops that are linear in all inputs at once override it.
        """
        return [
            self.forward(slot, tangent, out, *inputs)
            for slot, tangent in enumerate(tangents)
            if tangent is not None
        ]

    def has_finite_slopes(self, *inputs: Node) -> bool:
        """Return whether the value and the first derivatives are finite wherever the inputs are.

        Those of higher order are derivatives of the ops that the rules of the first are made of.
        """
        return self.finite_slopes

    def leaves_zeros(self, slot: int) -> bool:
        """Return whether the partial adjoint of input ``slot`` has zeros for every adjoint.

        They are at the elements that the op does not read, such as those outside an index.
        """
        return slot == 0 and not self.reads_all

    def reverse_active(
        self, slot: int, adjoint: Node, active: Callable[[], Node], out: Node, *inputs: Node
    ) -> Node | None:
        """Return the partial adjoint for an ``adjoint`` that is 0 where a condition is false.

        There the partial adjoint must also be 0, even if a derivative is infinite or NaN.
        ``active`` builds the condition, in the shape of ``out``.
        """
        product = self.reverse(slot, adjoint, out, *inputs)
        if product is None:
            return None
        return call("where", self.active_input(slot, active(), out, *inputs), product, 0)

    def forward_active(
        self, slot: int, tangent: Node, active: Callable[[], Node], out: Node, *inputs: Node
    ) -> Node | None:
        """Return what :meth:`forward` does for a ``tangent`` that is 0 where a condition is false.

        ``active`` builds the condition, in the shape of the input.
        """
        term = self.forward(slot, tangent, out, *inputs)
        if term is None:
            return None
        return call("where", self.active_output(slot, active(), out, *inputs), term, 0)

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        """Return where the partial adjoint of input ``slot`` can differ from 0, as a condition.

        ``active`` is that for the adjoint, in the shape of ``out``; the result broadcasts to the
        partial adjoint.  By default, every element of it may depend on all of the adjoint.
        """
        return call("any", active)

    def active_output(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        """Return where the tangent of ``out`` can differ from 0 because of input ``slot``.

        ``active`` is that for the tangent of the input, in its shape.
        """
        return call("any", active)

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        """Return on which elements of a graph's input each element of the result depends.

        Parameters
        ----------
        sets : IndexSets
            The sets of such elements, and functions to combine them.
        labels : sequence
            For each input, an array of its shape with the label of a set for each element, or
            ``None`` if it does not depend on the graph's input; for a structure, a dict of these.
            If the number of rows of an array is not known, one row of labels is that of all rows.

        Returns
        -------
        array, dict or None
            Labels in the shape of ``out``.  ``None``, the default, means that every element depends
            on everything: no more is known about the op, or about the values of its indices.
        """
        return None

    def differentiable(self, slot: int) -> bool:
        """Return whether the result has a derivative with respect to input ``slot``."""
        return True

    def reads(self, slot: int) -> bool:
        """Return whether the op uses the numbers in input ``slot``, not only its shape."""
        return True

    def is_size(self, slot: int) -> bool:
        """Return whether sizes of the result are computed from the integers in input ``slot``.

        The graph is then compiled for their values.  The length of a loop is none of these.
        """
        return False

    def flops(self, result: Any, *types: Any) -> int:
        """Return how many operations on numbers the op needs, as :mod:`symad.graph.cost` counts.

        By default none: the op only moves numbers.  All sizes in the types are known.
        """
        return 0

    def traffic(self, result: Any, *types: Any) -> tuple[int, int]:
        """Return how many bytes are read and written: by default all, and none for a view."""
        if self.is_view:
            return 0, 0
        return sum(x.nbytes for slot, x in enumerate(types) if self.reads(slot)), result.nbytes

    def specialise(self, *inputs: Node) -> Node | None:
        """Return a simpler node now that the inputs' shapes are known, or ``None`` to keep this op.

        Ops that depend on shapes only (``sum_like``, ``size``, ...) vanish here.
        """
        return None

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        """Return the results for many elements at once, stacked along a new first axis.

        By default ``None``: the op is mapped by itself.  All sizes are known.

        Parameters
        ----------
        out : Node
            This op for one element: its inputs have the types of the elements.
        batched : sequence of bool
            Which inputs are elements, stacked along their first axis; at least one is.
        *inputs : Node
            The others are the same for all elements.
        """
        return None

    def decompose(self, *inputs: Node) -> Node | None:
        """Return this op in terms of simpler ones, or ``None`` if there are none.

        For backends that fuse elementwise ops and reductions; the inputs' shapes are known.
        """
        return None


class Node(Operators["Node"]):
    """A value of the graph: the result of ``op`` on ``inputs``, or a leaf.

    Nodes are immutable and compared by identity.  Do not call this class: use the functions of
    :mod:`symad`, Python operators and NumPy functions.

    Attributes
    ----------
    op : Op or None
        ``None`` for a leaf.
    inputs : tuple of Node
    type : TensorType or StructureType
    name : str or None
    scope : tuple of str
        The scopes in which the node was made, outermost first.
    site : Site
        The user's source line that made it; for an adjoint, the line of its forward node.
    role : Role or None
        The role in a derivative; ``None`` for nodes that the user wrote.

    Examples
    --------
    >>> import symad as sm
    >>> y = sm.Variable("x", shape=(3,)) * 2
    >>> y
    <multiply: f64[3]>
    >>> y.op.name, [node.label for node in y.inputs]
    ('multiply', ['x', '2'])
    """

    __slots__ = ("op", "inputs", "type", "name", "scope", "site", "role", "__weakref__")

    def __init__(
        self,
        op: Op | None,
        inputs: tuple[Node, ...],
        type_: Type,
        name: str | None = None,
        origin: Provenance | None = None,
    ) -> None:
        context = current_creation() if origin is None else origin
        self.op = op
        self.inputs = inputs
        self.type = type_
        self.name = name
        self.scope: tuple[str, ...] = context.scope
        self.site: Site = context.site or Site.capture(2)
        self.role: Role[Node] | None = context.role
        made = current_trace()
        if made is not None:
            made.append(self)

    @property
    def label(self) -> str:
        """The name if the node has one, else the op's name."""
        return self.name or (self.op.name if self.op else "value")

    def __repr__(self) -> str:
        return f"<{visible(self.label, 200)}: {self.type}>"


def call(name: str, *args: Any, **keywords: Any) -> Node:
    """Return the node that the function registered under ``name`` makes."""
    node: Node = FUNCTIONS[name](*args, **keywords)
    return node


def explained(function: AnyFunction, /) -> AnyFunction:
    """Let a public function explain arguments that it does not take, instead of Python.

    It has one argument and keeps its type, so that checkers of types know what it returns even
    where functions of a module use each other.
    """
    return cast(AnyFunction, _explained(function))


def _explained(function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """Return the function; users know it by ``name``, or else as it is registered."""

    @wraps(function)
    def calling(*args: Any, **keywords: Any) -> Any:
        try:
            return function(*args, **keywords)
        except TypeError as error:
            if error.__traceback__.tb_next is not None:  # type: ignore[union-attr]
                raise  # inside the function
        paths = (path for path, registered in FUNCTIONS.items() if registered is calling)
        raise _wrong_arguments(function, name or next(paths, function.__name__), args, keywords)

    return calling


def _wrong_arguments(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], keywords: dict[str, Any]
) -> GraphTypeError:
    """Return the error for arguments that a function does not take."""
    signature = inspect.signature(function)
    known = [key for key in signature.parameters if key != "self"]
    unknown = [key for key in keywords if key not in known]
    if unknown:
        message = f"takes no keyword {unknown[0]!r}.{did_you_mean(unknown[0], known)}"
    else:
        message = _refusal(signature, args, keywords)
    return GraphTypeError(
        f"{name}(): {message}",
        where=Site.capture().describe(),
        remedy=f"Its parameters are {', '.join(known)}.",
    )


def _refusal(signature: inspect.Signature, args: Any, keywords: Any) -> str:
    try:
        signature.bind(*args, **keywords)
    except TypeError as error:
        return str(error)
    raise InternalError("arguments that fit were refused")


def _annotations(cls: type) -> dict[str, Any]:
    return cast(dict[str, Any], cls.__dict__.get("__annotations__", {}))


def resolve(function: Callable[..., Any] | str) -> Callable[..., Any]:
    """Return a function, importing it if it is given as ``"module.name"``."""
    return _import(function) if isinstance(function, str) else function


@cache
def _import(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    if module.startswith("scipy."):
        from symad.light_scipy import scipy_module

        return cast(Callable[..., Any], getattr(scipy_module(module), name))
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function
