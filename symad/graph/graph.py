"""Graph: outputs and the nodes that they depend on, in topological order."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, is_
from typing import Any, Self

from symad.errors import GraphError, InternalError
from symad.graph.node import Constant, Node, Parameter, Variable, infer_type
from symad.graph.op import Op
from symad.graph.provenance import Creation, Role, creating, isolated
from symad.graph.traverse import topological_order
from symad.records import dataclass
from symad.types import StructureType, TensorType, Type, compatible_shapes
from symad.visible import visible


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """The nodes that replace those of a graph in another graph made from it.

    Attributes
    ----------
    root : Graph
    values : sequence of Node or None
        For each node of the root in order, the node that has the same value now, if there is one.
    """

    root: Graph
    values: Sequence[Node | None]

    @property
    def heirs(self) -> dict[Node, Node]:
        """The node that has the same value now, for each node of the root that has one."""
        pairs = zip(self.root.nodes, self.values, strict=True)
        return {node: heir for node, heir in pairs if heir is not None}


_type_of = attrgetter("type")
_COMPARED_SIZE = 256
"""The most elements of constants that are compared; larger ones are equal only to themselves."""


class Graph:
    """An immutable view of the nodes between ``inputs`` and ``outputs``.

    Passes take and return graphs.  A graph is pickled as a whole, so that shared nodes stay shared.
    Loading a pickle runs the code in it; :func:`symad.save` writes data.

    Parameters
    ----------
    outputs : iterable of Node
    inputs : iterable of Node, optional
        The nodes that are fed; any node may be one, and the nodes it was computed from are then not
        part of the graph.  Without it, all variables and parameters that the outputs depend on, in
        topological order.

    Raises
    ------
    GraphError
        If an output depends on a variable that is not among the inputs.

    Attributes
    ----------
    inputs, outputs : tuple of Node
    nodes : tuple of Node
        All nodes, inputs before users.
    lineage : Lineage or None
        Set if the graph was made from another one.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> print(sm.Graph([sm.sin(x) * x]))
    graph(%0: f64[] "x")
      %1: f64[] = sin(%0)
      %2: f64[] = multiply(%1, %0)
      return %2
    """

    __slots__ = ("inputs", "outputs", "nodes", "lineage", "_key", "_kinds", "_types")
    _key: tuple[Any, ...]
    _kinds: frozenset[type[Op]]
    _types: tuple[Type, ...]

    def __init__(
        self,
        outputs: Iterable[Node],
        inputs: Iterable[Node] | None = None,
        lineage: Lineage | None = None,
    ) -> None:
        self.lineage = lineage
        self.outputs: tuple[Node, ...] = tuple(outputs)
        given = None if inputs is None else tuple(inputs)
        self.nodes: tuple[Node, ...] = tuple(topological_order(self.outputs, stop=set(given or ())))
        reached = self._leaves(Variable)
        self.inputs: tuple[Node, ...] = reached if given is None else given
        self._require_inputs(reached)

    @classmethod
    def with_leaves(cls, outputs: Iterable[Node], inputs: Iterable[Node], kind: type[Node]) -> Self:
        """Return a graph whose inputs are ``inputs`` and all other leaves of a class."""
        graph, given = cls.__new__(cls), dict.fromkeys(inputs)
        graph.lineage, graph.outputs = None, tuple(outputs)
        graph.nodes = tuple(topological_order(graph.outputs, stop=given))
        graph.inputs = tuple(given | dict.fromkeys(graph._leaves(kind)))
        graph._require_inputs(graph._leaves(Variable))
        return graph

    def _leaves(self, kind: type[Node]) -> tuple[Node, ...]:
        return tuple([node for node in self.nodes if isinstance(node, kind)])

    def _require_inputs(self, reached: tuple[Node, ...]) -> None:
        missing = set(reached).difference(self.inputs)
        if missing:
            first = next(node for node in reached if node in missing)
            raise GraphError(
                f"the outputs depend on {first.name!r}, which is not among the inputs",
                where=first.site.describe(),
                remedy="Add it to the inputs.",
            )

    def as_root(self) -> Graph:
        """Return this graph as the root of the graphs made from it."""
        graph = Graph.__new__(Graph)
        graph.inputs, graph.outputs, graph.nodes = self.inputs, self.outputs, self.nodes
        graph.lineage = Lineage(self, self.nodes)
        return graph

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Graph) and self.key() == other.key())

    def __hash__(self) -> int:
        return hash(self.key())

    def key(self) -> tuple[Any, ...]:
        """Return what defines the values of the outputs; graphs that compute the same are equal.

        Names and origins play no part; inputs correspond by position.
        """
        known: tuple[Any, ...] | None = getattr(self, "_key", None)
        if known is None:
            index = {node: i for i, node in enumerate(self.inputs)}
            rows: list[tuple[Any, ...]] = [tuple(node.type for node in self.inputs)]
            for node in self.nodes:
                if node not in index:
                    index[node] = len(index)
                    rows.append((node.op, _own_value(node), *[index[x] for x in node.inputs]))
            rows.append(tuple([index[node] for node in self.outputs]))
            known = tuple(rows)
            self._key: tuple[Any, ...] = known
        return known

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        return _format(self)

    def __repr__(self) -> str:
        return f"<Graph of {len(self)} nodes>"

    @property
    def kinds(self) -> frozenset[type[Op]]:
        """The classes of the ops, by which passes tell whether they have anything to do."""
        known: frozenset[type[Op]] | None = getattr(self, "_kinds", None)
        if known is None:
            found = {type(node.op) for node in self.nodes}
            known = self._kinds = frozenset(kind for kind in found if issubclass(kind, Op))
        return known

    def has(self, kind: type[Op]) -> bool:
        """Return whether the op of a node is of a class."""
        return any(issubclass(each, kind) for each in self.kinds)

    def types(self) -> tuple[Type, ...]:
        """Return the types of all nodes, equal ones rarely more than once."""
        known: tuple[Type, ...] | None = getattr(self, "_types", None)
        if known is None:
            found = {id(node.type): node.type for node in (*self.inputs, *self.nodes)}
            known = self._types = tuple(found.values())
        return known

    def consumers(self) -> dict[Node, list[tuple[Node, int]]]:
        """Return, for each node, its uses as pairs (consumer, argument slot) in order."""
        uses: dict[Node, list[tuple[Node, int]]] = {node: [] for node in self.nodes}
        inputs = set(self.inputs)
        for node in self.nodes:
            if node in inputs:
                continue
            for slot, source in enumerate(node.inputs):
                uses[source].append((node, slot))
        return uses

    def use_counts(self) -> Counter[Node]:
        """Return how often each node is used: by others, and as an output."""
        inputs = set(self.inputs)
        users = (node for node in self.nodes if node not in inputs)
        uses = Counter(source for node in users for source in node.inputs)
        uses.update(self.outputs)
        return uses

    def __reduce__(self) -> tuple[Callable[..., Graph], tuple[Any, ...]]:
        records, index = _flatten((*self.inputs, *self.outputs))
        inputs = [index[node] for node in self.inputs]
        outputs = [index[node] for node in self.outputs]
        return _restore_graph, (records, inputs, outputs)


def _own_value(node: Node) -> Any:
    """Return what tells a leaf from others: the value of a constant, else the leaf itself."""
    if node.op is not None:
        return None
    if isinstance(node, Constant) and node.value.size <= _COMPARED_SIZE:
        return node.value.dtype, node.value.shape, node.value.tobytes()
    return node


@isolated
def rebuild(
    graph: Graph,
    visit: Callable[[Node, tuple[Node, ...]], Node],
    replaced: dict[Node, Node] | None = None,
) -> Graph:
    """Return ``graph`` with each computed node replaced by what ``visit`` returns for it.

    ``visit`` is given the old node and its new inputs.  The new nodes inherit the site, the scope
    and the role of the old node: this driver handles provenance, so rules need not.

    Parameters
    ----------
    graph : Graph
    visit : callable
    replaced : dict, optional
        New nodes for inputs of the graph.
    """
    new: dict[Node, Node] = dict(replaced or {})
    given, context = set(graph.inputs), Creation()
    with creating(context):
        for node in graph.nodes:
            if node in new:
                continue
            if node.op is None or node in given:
                new[node] = node
                continue
            context.scope, context.site, context.role = node.scope, node.site, node.role
            new[node] = visit(node, tuple(map(new.__getitem__, node.inputs)))
    inputs = tuple([new.get(node, node) for node in graph.inputs])
    return Graph([new[node] for node in graph.outputs], inputs, descend(graph, new))


def descend(graph: Graph, new: Mapping[Node, Node]) -> Lineage:
    """Return the lineage of a graph that has, for each node of ``graph``, the node in ``new``."""
    if graph.lineage is None:
        return Lineage(graph, list(map(new.get, graph.nodes)))
    return Lineage(graph.lineage.root, list(map(new.get, graph.lineage.values)))  # type: ignore[arg-type]


def replace_inputs(node: Node, inputs: tuple[Node, ...]) -> Node:
    """Return ``node`` itself if its inputs are already these, else a copy that has them."""
    old, op, type_ = node.inputs, node.op, node.type
    is_alike = len(inputs) == len(old)
    if is_alike and all(map(is_, inputs, old)):
        return node
    assert op is not None
    if not (is_alike and all(map(is_, map(_type_of, inputs), map(_type_of, old)))):
        type_ = infer_type(op, inputs)
    return Node(op, inputs, type_, node.name)


def verify(graph: Graph) -> None:
    """Check a graph: inputs before users, and every type as the op infers it.

    Raises
    ------
    InternalError
        If the graph is malformed; the tests run this check after each pass.
    """
    seen: set[Node] = set()
    inputs = set(graph.inputs)
    for node in graph.nodes:
        if node.op is not None and node not in inputs:
            for source in node.inputs:
                if source not in seen:
                    raise InternalError(f"{node!r} comes before its input {source!r}")
            inferred = node.op.infer(*[source.type for source in node.inputs])
            if not _agree(inferred, node.type):
                raise InternalError(f"{node!r} has type {node.type}, but its op infers {inferred}")
        seen.add(node)


def _agree(inferred: Type | None, declared: Type | None) -> bool:
    if inferred is None or declared is None:
        return inferred is declared
    if isinstance(inferred, StructureType) or isinstance(declared, StructureType):
        return (
            isinstance(inferred, StructureType)
            and isinstance(declared, StructureType)
            and inferred.keys == declared.keys
            and all(
                _agree(a, b)
                for (_, a), (_, b) in zip(inferred.fields, declared.fields, strict=True)
            )
        )
    return inferred.dtype == declared.dtype and compatible_shapes(declared.shape, inferred.shape)


# The text form: typed, deterministic, diffable.


def _format(graph: Graph) -> str:
    """Return one line per node; :class:`Graph` has an example."""
    names: dict[Node, str] = {}
    inputs = set(graph.inputs)
    head = []
    for node in graph.inputs:
        names[node] = f"%{len(names)}"
        kind = "parameter " if isinstance(node, Parameter) else ""
        head.append(f"{names[node]}: {kind}{node.type} {node.label!r}".replace("'", '"'))
    lines = [f"graph({', '.join(head)})"]
    for node in graph.nodes:
        if node in inputs:
            continue
        names[node] = f"%{len(names)}"
        note = f"  # {visible(node.name, 200)}" if node.name else ""
        lines.append(f"  {names[node]}: {node.type} = {_right_side(node, names)}{note}")
    lines.append(f"  return {', '.join(names[node] for node in graph.outputs)}")
    return "\n".join(lines)


def _right_side(node: Node, names: Mapping[Node, str]) -> str:
    if isinstance(node, Constant):
        return f"constant {_format_value(node.value)}"
    assert node.op is not None
    arguments = [names[source] for source in node.inputs]
    attributes = node.op.attributes()
    arguments += [f"{key}={_format_attribute(value)}" for key, value in attributes.items()]
    return f"{node.op.name}({', '.join(arguments)})"


def _format_attribute(value: Any) -> str:
    """Return an attribute of an op as text; a graph takes separate lines."""
    if hasattr(value, "outputs"):
        return "\n" + textwrap.indent(str(value), "    ") + "\n  "
    return getattr(value, "__qualname__", None) or repr(value)


def _format_value(value: Any) -> str:
    """Return an array on one line, shortened where it is long."""
    if value.ndim == 0:
        return repr(value.item())
    if value.size > 8:
        first = ", ".join(f"{item:.6g}" for item in value.ravel()[:4].tolist())
        return f"[{first}, ...]"
    return repr(value.tolist())


# Pickling: a flat list of records in place of nested objects, so that depth does not matter.

_Record = tuple[Any, ...]


def _flatten(roots: Iterable[Node]) -> tuple[list[_Record], dict[Node, int]]:
    """Return one record per node that ``roots`` or their roles refer to, and the index of each."""
    index: dict[Node, int] = {}
    pending = list(roots)
    while pending:
        found = topological_order(pending, stop=index)
        pending = []
        for node in found:
            if node in index:
                continue
            index[node] = len(index)
            if node.role is not None:
                pending += [n for n in (node.role.node, node.role.consumer) if n is not None]
        pending = [node for node in pending if node not in index]
    return [_record(node, index) for node in index], index


def _record(node: Node, index: dict[Node, int]) -> _Record:
    role = node.role
    flat_role = role and (
        role.kind,
        role.generation,
        index[role.node],
        None if role.consumer is None else index[role.consumer],
        role.slot,
    )
    value = node.value if isinstance(node, (Constant, Parameter)) else None
    sources = [index[source] for source in node.inputs]
    return (
        type(node), node.op, sources, node.type, node.name, node.scope, node.site, flat_role, value
    )  # fmt: skip


@isolated
def _restore(records: list[_Record]) -> list[Node]:
    nodes: list[Node] = []
    for kind, op, sources, type_, name, scope, site, _, value in records:
        with creating(Creation(scope, site)):
            inputs = tuple(nodes[i] for i in sources)
            nodes.append(_restore_node(kind, op, inputs, type_, name, value))
    for node, record in zip(nodes, records, strict=True):
        if record[7] is not None:
            kind, generation, target, consumer, slot = record[7]
            where = None if consumer is None else nodes[consumer]
            node.role = Role(kind, generation, nodes[target], where, slot)
    return nodes


def _restore_node(
    kind: type[Node], op: Any, inputs: tuple[Node, ...], type_: Type, name: Any, value: Any
) -> Node:
    if kind is Constant:
        constant = Constant(value, name=name)
        constant.type = type_
        return constant
    if kind is Parameter:
        return Parameter(name, value)
    if kind is Variable:
        assert isinstance(type_, TensorType)
        return Variable(name, type_.shape, type_.dtype)
    return Node(op, inputs, type_, name)


def _restore_graph(records: list[_Record], inputs: list[int], outputs: list[int]) -> Graph:
    nodes = _restore(records)
    return Graph([nodes[i] for i in outputs], [nodes[i] for i in inputs])


def _restore_one(graph: Graph) -> Node:
    return graph.outputs[0]


def _reduce_node(node: Node) -> tuple[Callable[[Graph], Node], tuple[Graph]]:
    return _restore_one, (Graph([node]),)


Node.__reduce__ = _reduce_node  # type: ignore[method-assign,assignment]
