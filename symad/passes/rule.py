"""Rewrite rules as data: pattern, replacement, equation, and how exactly it holds.

A :class:`Rule` is written as two expressions over the same wildcards; matching, printing and
testing all use these two.  A :class:`Procedure` is a rule that a pattern cannot express, because it
holds for any number of inputs or depends on shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from operator import is_
from typing import Any, ClassVar, Protocol

import numpy as np

from symad.errors import ShapeError
from symad.graph.formula import MINUS, PRODUCT, Term, binding, format_term, plain_call
from symad.graph.node import Constant, Node, Variable
from symad.graph.op import Op
from symad.graph.traverse import topological_order
from symad.ops.adjoint import cast
from symad.ops.base import as_node
from symad.ops.comparison import Where, where
from symad.ops.shape import BroadcastTo, broadcast_to
from symad.passes.grade import Grade
from symad.records import cached_property, dataclass, field, replace
from symad.types import TensorType, UnknownShape

FLOATS = "f"
NUMBERS = "iuf"
ARRAYS = "biuf"
VALUES = "biuf*"
"""Kinds of values that wildcards match: floats, numbers, also booleans, also structures."""

Binding = dict[str, Any]
"""The matches of the wildcards of a pattern: nodes, and values of attributes."""


class AnyRule(Protocol):
    """The interface of a rule to the driver."""

    @property
    def name(self) -> str:
        """The name in reports and the viewer."""

    @property
    def grade(self) -> Grade:
        """How exactly it holds."""

    @property
    def equation(self) -> str:
        """The equation of the rule as text."""

    @property
    def roots(self) -> tuple[type[Op], ...]:
        """The classes of the ops whose nodes it may replace."""

    @property
    def named(self) -> frozenset[type[Op]]:
        """Some of :attr:`needs`, known without building a pattern."""

    @property
    def needs(self) -> frozenset[type[Op]]:
        """Classes of ops without which it cannot apply."""

    @property
    def makes(self) -> frozenset[type[Op]]:
        """Classes of the ops that it may bring in."""

    @property
    def is_twice(self) -> bool:
        """Whether it applies only to nodes with the same input twice."""

    @property
    def number(self) -> Any:
        """A number without which, among the inputs of a node, it does not apply, or ``None``."""

    @property
    def mends(self) -> bool:
        """Whether its replacement also has more exact derivatives: see :func:`mending`."""

    def may_match(self, kind: type[Op], heads: Sequence[type]) -> bool:
        """Return whether the rule can apply to some node of an op of class ``kind``, one of the
        roots.

        The first inputs of the node, :data:`LOOKED_AT` at most, have these heads.
        """

    def apply(self, node: Node) -> Node | None:
        """Return a node of the same type and value in place of ``node``, ``None`` to keep it."""


LOOKED_AT = 3
"""How many inputs of a node are used to select the rules to try."""


def head(node: Node) -> type:
    """Return the class of a node's op, or that of a leaf itself, such as :class:`Constant`."""
    return type(node.op or node)


class Attribute:
    """Matches any value of one attribute of an op in a pattern."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


_ANY = UnknownShape.fresh()
"""The shape of all wildcards.  That they share it makes patterns fast to build."""


class LinearWildcard(Variable):
    """A wildcard in which a pattern is linear."""


class NumberWildcard(Variable):
    """A wildcard that matches a number, which may be broadcast."""


@dataclass(frozen=True)
class Rule:
    """Replace instances of ``pattern`` by ``replacement``.

    Attributes
    ----------
    name : str
    pattern, replacement : callable
        Return an expression of their parameters, which are the wildcards.  The pattern is called
        once, with variables that match any node; the replacement is called at each match, with the
        matched nodes.
    grade : Grade
    where : callable, optional
        A condition on some of the wildcards.
    kinds : str
        The kinds of values for which the rule holds.
    attributes : tuple of str
        Wildcards that match attributes of ops, such as an axis.
    masks : tuple of str
        Wildcards that match booleans.
    numbers : tuple of str
        Wildcards that match known numbers only, alone or broadcast.
    linear : tuple of str
        Wildcards in which the pattern is linear, as in an adjoint.  A part of it that contains one
        may be masked, where(c, part, 0): the rule then applies with where(c, v, 0) for each v in
        it.
    mends : bool
        See :func:`mending`.
    mixed : bool
        Whether the rule also holds if wildcards do not have the dtype of the result.
    example : mapping
        For tests and explanations: values of attributes, numbers for wildcards that must be
        constants, shapes where not all are the same, functions of a variable where a wildcard must
        have a certain form.
    domain : tuple of float
        For tests: the interval of numbers on which the two sides are compared.

    Examples
    --------
    >>> import symad as sm
    >>> rule = Rule("log1p", lambda x: sm.log(1 + x), lambda x: sm.log1p(x))
    >>> rule.equation
    'log(1 + x) = log1p(x)'
    >>> x = sm.Variable("x", shape=())
    >>> rule.apply(sm.log(x * x + 1))
    <log1p: f64[]>
    """

    name: str
    pattern: Callable[..., Node]
    replacement: Callable[..., Any]
    grade: Grade = Grade.ROUNDING
    where: Callable[..., bool] | None = None
    kinds: str = FLOATS
    attributes: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    linear: tuple[str, ...] = ()
    mends: bool = False
    mixed: bool = False
    example: Mapping[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-3.0, 3.0)

    @cached_property
    def wildcards(self) -> dict[str, Any]:
        """The wildcards by name, as they occur in the pattern."""
        return {name: self._wildcard(name) for name in parameters(self.pattern)}

    def _wildcard(self, name: str) -> Any:
        if name in self.attributes:
            return Attribute(name)
        kind = NumberWildcard if name in self.numbers else Variable
        kind = LinearWildcard if name in self.linear else kind
        return kind(name, _ANY, "bool" if name in self.masks else "float64")

    @cached_property
    def tree(self) -> Node:
        """The pattern as a graph over :attr:`wildcards`."""
        return self.pattern(**self.wildcards)

    @cached_property
    def _new_tree(self) -> Node:
        return as_node(_call(self.replacement, self._needed, self.wildcards))

    @cached_property
    def equation(self) -> str:
        """The equation of the rule as text."""
        return f"{_formula(self.tree)} = {_formula(self._new_tree)}"

    @cached_property
    def named(self) -> frozenset[type[Op]]:
        """The classes of the ops that the pattern calls by their names."""
        names, scope = self.pattern.__code__.co_names, self.pattern.__globals__
        return frozenset([type(op) for op in map(scope.get, names) if isinstance(op, Op)])

    @cached_property
    def needs(self) -> frozenset[type[Op]]:
        """The classes of the pattern's ops."""
        return _ops_in(self.tree)

    @cached_property
    def makes(self) -> frozenset[type[Op]]:
        """The classes of the replacement's ops."""
        return _ops_in(self._new_tree)

    @cached_property
    def _needed(self) -> tuple[str, ...]:
        return parameters(self.replacement)

    @cached_property
    def _restricted(self) -> tuple[str, ...]:
        return parameters(self.where) if self.where else ()

    @cached_property
    def roots(self) -> tuple[type[Op], ...]:
        """The class of the pattern's op."""
        assert self.tree.op is not None
        return (type(self.tree.op),)

    def may_match(self, kind: type[Op], heads: Sequence[type]) -> bool:
        """Return whether the classes of a node's op and of its inputs match the pattern."""
        op, wanted = self.tree.op, self.tree.inputs
        if op is None or type(op) is not kind:
            return False
        orders = (heads, heads[::-1]) if op.commutative else (heads,)
        return any(all(map(_may_be, wanted, given)) for given in orders)

    @cached_property
    def is_twice(self) -> bool:
        """Whether both inputs of the root are the same wildcard, as in x + x."""
        inputs = self.tree.inputs
        return len(inputs) == 2 and inputs[0] is inputs[1]

    @cached_property
    def number(self) -> Any:
        """The number among the inputs of the root, ``None`` if there is none."""
        numbers = [x.value.item() for x in self.tree.inputs if isinstance(x, Constant)]
        return numbers[0] if numbers else None

    def apply(self, node: Node) -> Node | None:
        """Return the replacement for ``node`` if the pattern matches it, else ``None``."""
        if self.is_twice and node.inputs[0] is not node.inputs[1]:
            return None
        for match in _unify(self.tree, node, {}):
            bound = _masked(match) if self.linear else match
            nodes = [value for value in bound.values() if isinstance(value, Node)]
            if not all(map(self._takes, nodes)):
                continue
            if self.where and not _call(self.where, self._restricted, bound):
                continue
            try:
                new = as_node(_call(self.replacement, self._needed, bound), like=node)
            except ShapeError:  # operands that broadcast in the pattern may not fit elsewhere
                continue
            forwarded = any(map(is_, nodes, repeat(new)))  # converting what is given is exact
            if forwarded or self.mixed or self._is_uniform(nodes, node):
                return fit(new, node, forwarded)
        return None

    def _takes(self, node: Node) -> bool:
        if isinstance(node.type, TensorType):
            return node.type.dtype.kind in self.kinds or bool(self.masks)
        return "*" in self.kinds

    def _is_uniform(self, nodes: list[Node], root: Node) -> bool:
        """Return whether everything is computed in one dtype, so that no precision is lost."""
        kept = [node for node in nodes if node.type is not root.type]
        if not kept:
            return True
        dtypes = (root.dtype, np.dtype(bool)) if self.masks else (root.dtype,)
        return all(node.dtype in dtypes for node in kept)


@dataclass(frozen=True)
class Procedure:
    """A rule whose replacement is found by a function.

    Attributes
    ----------
    name : str
    function : callable
        Takes a node of one of ``roots`` and returns another node of the same value, or ``None``.
    equation : str
    roots : tuple of op classes
    examples : tuple of callable
        Return expressions of variables, whose names are the parameters, to which the rule applies.
    shapes : mapping
        The shapes of these variables if they are not (2, 3).
    when : callable, optional
        Returns whether it may apply, given the class of a node's op and the heads of its first
        inputs.
    needs, makes : frozenset of op classes
        Those of the ops without which it cannot apply, and of those that it brings in, if other
        rules are to apply to them.
    mends : bool
        See :func:`mending`.
    """

    name: str
    function: Callable[[Node], Node | None]
    equation: str
    roots: tuple[type[Op], ...]
    examples: tuple[Callable[..., Node], ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    grade: Grade = Grade.EXACT
    when: Callable[[type[Op], Sequence[type]], bool] | None = None
    needs: frozenset[type[Op]] = frozenset()
    makes: frozenset[type[Op]] = frozenset()
    mends: bool = False
    is_twice: ClassVar[bool] = False
    number: ClassVar[Any] = None

    @property
    def named(self) -> frozenset[type[Op]]:
        """The same as :attr:`needs`."""
        return self.needs

    def may_match(self, kind: type[Op], heads: Sequence[type]) -> bool:
        """Return whether the function is to be called for such a node."""
        return self.when is None or self.when(kind, heads)

    def apply(self, node: Node) -> Node | None:
        """Return the result of the function, in the type of ``node``."""
        new = self.function(node)
        return None if new is None else fit(new, node)


def mending(*rules: Rule) -> tuple[Rule, ...]:
    """Return rules whose replacements also have more exact derivatives than their patterns.

    Derivatives are taken of the replacement: see :mod:`symad.passes.forms`.
    """
    return tuple(replace(rule, mends=True) for rule in rules)


def fit(new: Node, old: Node, convert: bool = False) -> Node | None:
    """Return ``new`` in the type of ``old``, broadcast where it must be; ``None`` if it cannot be.

    Parameters
    ----------
    new, old : Node
    convert : bool
        Whether another dtype is converted rather than refused.
    """
    if new.type == old.type:
        return new
    if not isinstance(new.type, TensorType) or not isinstance(old.type, TensorType):
        return None
    if new.type.dtype != old.type.dtype:
        if not convert:
            return None
        new = cast(new, old.type.dtype)
    shape = old.type.shape
    if new.type == old.type:
        return new
    if isinstance(shape, UnknownShape):  # equal values have equal shapes, under whatever names
        return Node(new.op, new.inputs, old.type, new.name) if new.op is not None else None
    try:
        return broadcast_to(new, shape) if old.type.is_static else None
    except ShapeError:
        return None


def static_shape(node: Node) -> tuple[int, ...] | None:
    """Return the shape of ``node``, ``None`` unless all of it is known."""
    type_ = node.type
    if not isinstance(type_, TensorType) or not type_.is_static:
        return None
    return type_.shape  # type: ignore[return-value]


def number_of(node: Node) -> Any:
    """Return the number that all elements of ``node`` are known to equal, or ``None``."""
    if type(node.op) is BroadcastTo:
        node = node.inputs[0]
    return node.value[()] if type(node) is Constant and not node.value.ndim else None


def is_scalar(node: Node) -> bool:
    """Return whether ``node`` has no axes."""
    return isinstance(node.type, TensorType) and node.type.shape == ()


def _is_number(node: Node, value: Any) -> bool:
    """Return whether ``node`` is known to equal a number, including the sign of zero."""
    number = number_of(node)
    if number is None or number != value:
        return False
    return math.copysign(1, number) == math.copysign(1, value)


_MASK = " mask"
"""A suffix: a linear wildcard's name with it is bound to the condition of its mask."""


def _masked(bound: Binding) -> Binding:
    """Return the matches of wildcards, masked where they were found inside a mask."""
    found = {name: value for name, value in bound.items() if not name.endswith(_MASK)}
    for name, value in found.items():
        condition = bound.get(name + _MASK)
        if condition is not None:
            found[name] = where(condition, value, 0)
    return found


def _through_mask(pattern: Node, node: Node, bound: Binding) -> Iterator[Binding]:
    """Yield the matches of where(c, x, 0) with a pattern of x that is linear in wildcards."""
    condition, inner, other = node.inputs
    names = {v.name for v in topological_order([pattern]) if isinstance(v, LinearWildcard)}
    if not names or number_of(other) != 0:
        return
    for found in _unify(pattern, inner, dict(bound)):
        keys = [f"{name}{_MASK}" for name in names]
        if all(found.get(key) is None for key in keys):
            yield found | dict.fromkeys(keys, condition)


def _unify(pattern: Node, node: Node, bound: Binding) -> Iterator[Binding]:
    """Yield each way in which ``node`` is an instance of ``pattern``, given the bindings so far."""
    if pattern.op is None:
        if _unify_leaf(pattern, node, bound):
            yield bound
    elif isinstance(node.op, Where) and not isinstance(pattern.op, Where):
        yield from _through_mask(pattern, node, bound)
    elif type(pattern.op) is type(node.op) and len(pattern.inputs) == len(node.inputs):
        assert pattern.op is not None and node.op is not None
        known = _unify_attributes(pattern.op, node.op, bound)
        if known is not None:
            yield from _unify_inputs(pattern, node, known)


def _unify_leaf(pattern: Node, node: Node, bound: Binding) -> bool:
    """Return whether ``node`` matches a wildcard, which is then bound to it, or a number."""
    if isinstance(pattern, Constant):
        return _is_number(node, pattern.value[()])
    if isinstance(pattern, NumberWildcard) and number_of(node) is None:
        return False
    return bound.setdefault(pattern.name or "", node) is node


def _unify_attributes(pattern: Op, op: Op, bound: Binding) -> Binding | None:
    if not pattern._fields:
        return bound
    given = op.attributes()
    for key, wanted in pattern.attributes().items():
        if isinstance(wanted, Attribute):
            wanted = bound.setdefault(wanted.name, given[key])
        if wanted != given[key] or type(wanted) is not type(given[key]):
            return None
    return bound


def _unify_inputs(pattern: Node, node: Node, bound: Binding) -> Iterator[Binding]:
    """Match all inputs in order, and those of a commutative op also in reverse order."""
    op, parts, inputs = pattern.op, pattern.inputs, node.inputs
    assert op is not None
    yield from _unify_ordered(parts, inputs, bound)
    if op.commutative and len(inputs) == 2 and inputs[0] is not inputs[1]:
        yield from _unify_ordered(parts, inputs[::-1], bound)


def _unify_ordered(
    parts: Sequence[Node], inputs: Sequence[Node], bound: Binding
) -> Iterator[Binding]:
    """Match inputs in order: those that the pattern says nothing more about first."""
    found, others = dict(bound), []
    for part, source in zip(parts, inputs, strict=True):
        if part.op is None:
            if not _unify_leaf(part, source, found):
                return
        elif type(source.op) is type(part.op) or type(source.op) is Where:
            others.append((part, source))
        else:
            return
    if not others:
        yield found
    elif len(others) == 1:
        yield from _unify(*others[0], found)
    else:
        yield from _unify_all(others, found)


def _unify_all(pairs: Sequence[tuple[Node, Node]], bound: Binding) -> Iterator[Binding]:
    """Match the inputs of a pattern that are no leaves."""
    (pattern, node), *rest = pairs
    for found in _unify(pattern, node, dict(bound)):
        if rest:
            yield from _unify_all(rest, found)
        else:
            yield found


def _may_be(pattern: Node, given: type) -> bool:
    """Return whether a node with this head may be an instance of ``pattern``."""
    wanted = Constant if isinstance(pattern, NumberWildcard) else head(pattern)
    if wanted is given or (isinstance(pattern, Variable) and wanted is not Constant):
        return True
    if given is Where:
        return any(isinstance(node, LinearWildcard) for node in topological_order([pattern]))
    return wanted is Constant and given is BroadcastTo  # of a number


def _ops_in(tree: Node) -> frozenset[type[Op]]:
    return frozenset([type(node.op) for node in topological_order([tree]) if node.op is not None])


def parameters(function: Any) -> tuple[str, ...]:
    """Return the names of the parameters of a Python function, without the cost of inspect."""
    names: tuple[str, ...] = function.__code__.co_varnames[: function.__code__.co_argcount]
    return names


def _call(function: Callable[..., Any], names: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    return function(*[values[name] for name in names])


def _formula(node: Node) -> Term:
    """Return a pattern as text; patterns are small, so recursion is safe."""
    if node.op is None:
        label = node.label.removesuffix(".0")
        return Term.number(label) if isinstance(node, Constant) else Term(label)
    if node.op.text == "{0}":  # an identity is shown as one
        return plain_call(node.op, [_formula(source) for source in node.inputs])
    return format_term(node, partial(_operand, node))


def _operand(user: Node, node: Node) -> Term:
    """Return an operand, in parentheses where the order of products matters to a rule."""
    term = _formula(node)
    assert user.op is not None
    loose = user.op.precedence in (MINUS, PRODUCT) and binding(term) in (MINUS, PRODUCT)
    return Term(f"({term})") if loose else term
