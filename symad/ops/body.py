"""Ops with bodies, which are graphs: how a body is traced, closed, and differentiated.

A body is a closed graph: outside values enter through its inputs, so that it can be differentiated,
specialised and compiled like any graph.  It owns the nodes that were made while it was traced, and
captures all others: a branch that is not taken, and a loop without steps, compute nothing.
Backends compile the bodies and hand the programs to :meth:`WithBody.kernel_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, TypeAlias

from symad.errors import GraphTypeError, InternalError
from symad.graph.cost import total_cost
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op
from symad.graph.operators import FUNCTIONS
from symad.graph.provenance import creating, current_creation, tracing
from symad.graph.traverse import topological_order
from symad.ops.structure import MakeStructure, is_structure, structure, structure_item
from symad.records import cached_property
from symad.types import StructureType, Type

Program = Callable[[Sequence[Any]], list[Any]]
"""A compiled body: takes the values of its inputs, returns those of its outputs."""

RunBody = Callable[[Graph, Sequence[Any]], list[Any]]
"""Runs a body: takes it and the values of its inputs, returns those of its outputs."""

Derivative: TypeAlias = tuple[Node | None, Node | None]
"""An adjoint or a tangent, ``None`` for zero; and where it can differ from 0, if that is known."""


class WithBody(Op):
    """An op with bodies; passes rewrite the bodies, backends compile them.

    One derivative serves all inputs at once: :meth:`reverse_all` and :meth:`forward_all` take the
    place of :meth:`Op.reverse` and :meth:`Op.forward`.
    """

    leading: ClassVar[int] = 0
    """How many inputs of the op come before those that correspond to the bodies' inputs."""

    @property
    def bodies(self) -> tuple[Graph, ...]:
        """All bodies of the op."""
        raise NotImplementedError

    def with_bodies(self, *bodies: Graph) -> WithBody:
        """Return this op with other bodies of the same meaning."""
        raise NotImplementedError

    def body_types(self, *types: Any) -> tuple[Type, ...]:
        """Return the types of each body's inputs when the op's inputs have ``types``."""
        raise NotImplementedError

    def for_inputs(self, *inputs: Node) -> WithBody:
        """Return this op with what it can know of ``inputs``, whose types are specialised."""
        return self

    def kernel_of(self, *programs: Program) -> Callable[..., Any]:
        """Return the function of arrays that computes the op by running the compiled bodies."""
        raise NotImplementedError

    def source_of(self, bodies: Sequence[str], arguments: Sequence[str]) -> str:
        """Return Python text that computes the op; each body is a function that returns a tuple."""
        raise NotImplementedError

    def definition_of(self, name: str, bodies: Sequence[str]) -> str:
        """Return Python text that defines a function of this name, which computes the op.

        Empty for an op that :meth:`source_of` writes as an expression.
        """
        return ""

    def reverse_all(
        self,
        wanted: Sequence[int],
        adjoints: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        """Return the partial adjoint of each of the ``wanted`` inputs.

        Parameters
        ----------
        wanted : sequence of int
            Slots of inputs.
        adjoints : sequence of Node or None
            One for each result of the op; ``None`` for zero.
        active : sequence of Node or None, optional
            Where the adjoints can differ from 0, as conditions in their shapes.  Elsewhere they
            are 0, and must contribute nothing even where a derivative is infinite.
        out : Node
        *inputs : Node
        """
        raise NotImplementedError

    def forward_all(
        self,
        tangents: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        """Return the tangent of each result of the op, for ``tangents`` of its inputs."""
        raise NotImplementedError

    def forward_terms(
        self, tangents: Sequence[Node | None], out: Node, *inputs: Node
    ) -> list[Node | None]:
        found = self.forward_all(tangents, None, out, *inputs)
        return [together([v for v, _ in found], out)]

    def flops(self, result: Any, *types: Any) -> int:
        return max(total_cost(body).flops for body in self.bodies)

    def has_finite_slopes(self, *inputs: Node) -> bool:
        return all(map(_has_finite_slopes, self.bodies))

    @cached_property
    def generation(self) -> int:
        """The highest generation of the derivatives in the bodies."""
        return max((own_generation(n) for body in self.bodies for n in body.nodes), default=0)

    def kernel(self) -> Callable[..., Any]:
        raise InternalError(f"{self.name} must be compiled by a backend, which compiles its body")

    def steps(self, *types: Any) -> int:
        """Return how often the bodies run, as far as it is known; else 1."""
        return 1

    def own_inputs(self) -> int:
        """Return how many of a body's first inputs do not represent inputs of the op as they are.

        They are elements of sequences, and carries.
        """
        return 0

    def runs(
        self, index: tuple[int, ...], values: Sequence[Any], run: RunBody
    ) -> Iterator[tuple[str, Graph, Sequence[Any]]]:
        """Yield which run of a body it is, the body and its inputs, for the runs of a call.

        ``values`` are the op's inputs; ``run`` runs a body and returns its outputs.  Runs that do
        not contribute to the element of the result at ``index`` may be left out.
        """
        raise NotImplementedError


class WithOneBody(WithBody):
    """An op with a single body, which runs once on the op's inputs."""

    body: Graph

    @property
    def bodies(self) -> tuple[Graph, ...]:
        return (self.body,)

    def with_bodies(self, *bodies: Graph) -> WithBody:
        (body,) = bodies
        return self.with_attributes(body=body)

    def body_types(self, *types: Any) -> tuple[Type, ...]:
        return types

    def kernel_of(self, *programs: Program) -> Callable[..., Any]:
        (program,) = programs
        return lambda *values: one_or_tuple(program(values))

    def source_of(self, bodies: Sequence[str], arguments: Sequence[str]) -> str:
        made = f"{bodies[0]}({', '.join(arguments)})"
        return f"{made}[0]" if len(self.body.outputs) == 1 else made

    def runs(
        self, index: tuple[int, ...], values: Sequence[Any], run: RunBody
    ) -> Iterator[tuple[str, Graph, Sequence[Any]]]:
        yield "", self.body, values


def _has_finite_slopes(body: Graph) -> bool:
    """Return whether all derivatives are finite where the inputs are, in the stable forms."""
    outputs = [output for output in body.outputs if output.type.is_float]
    forms = FUNCTIONS["stable_forms"](outputs, body.inputs, 1)
    order = topological_order(outputs, instead=forms)
    floats = (node for node in order if node.type.is_float and node not in forms)
    return all(node.op is None or node.op.has_finite_slopes(*node.inputs) for node in floats)


def own_generation(node: Node) -> int:
    """Return the generation of the derivative that a node, or something in it, belongs to."""
    inside = node.op.generation if isinstance(node.op, WithBody) else 0
    return inside if node.role is None else max(inside, node.role.generation)


def placeholder(like: Node, type_: Type | None = None) -> Node:
    """Return a leaf that represents ``like`` inside a body."""
    return Node(None, (), like.type if type_ is None else type_, like.label, like)


def results_of(out: Node) -> list[Node]:
    """Return the results of an op with a body: its items, or the node itself."""
    if not isinstance(out.type, StructureType):
        return [out]
    return [structure_item(out, key) for key in out.type.keys]


def together(values: Sequence[Node | None], out: Node) -> Node | None:
    """Return values for the results of an op as one node like ``out``; ``None`` if all are."""
    if not isinstance(out.type, StructureType):
        return values[0]
    present_values = present(values)
    if not present_values:
        return None
    is_present = tuple(value is not None for value in values)
    return apply(MakeStructure(out.type.kind, out.type.keys, is_present), *present_values)


def value_of(results: Sequence[Node]) -> Node:
    """Return the results of an op with a body as its value: the only one, or a tuple."""
    return results[0] if len(results) == 1 else structure(tuple(results))


def one_or_tuple(values: Sequence[Any]) -> Any:
    """Return the only value, or all as one tuple."""
    return values[0] if len(values) == 1 else tuple(values)


def result_type(types: Sequence[Type]) -> Type:
    """Return the type of an op with results of these types: one value, or a tuple of several."""
    return types[0] if len(types) == 1 else StructureType("tuple", tuple(enumerate(types)))


def reached_inputs(body: Graph, differentiably: bool = False) -> list[set[int]]:
    """Return, for each output of a body, the inputs on which it depends.

    With ``differentiably``, only those on which it depends in a differentiable way.
    """
    masks = {node: 1 << k for k, node in enumerate(body.inputs)}
    for node in body.nodes:
        if node in masks:
            continue
        masks[node] = 0
        if node.op is not None and (node.type.is_float or not differentiably):
            for slot, source in enumerate(node.inputs):
                if not differentiably or node.op.differentiable(slot):
                    masks[node] |= masks[source]
    slots = range(len(body.inputs))
    return [{k for k in slots if masks[y] >> k & 1} for y in body.outputs]


def closure(start: Iterable[int], steps: Callable[[int], Iterable[int]]) -> set[int]:
    """Return all that is reached from ``start`` by ``steps``."""
    found, pending = set(start), list(start)
    while pending:
        fresh = set(steps(pending.pop())) - found
        found |= fresh
        pending += fresh
    return found


def called(what: str, function: Any, *arguments: Any, **keywords: Any) -> Any:
    """Return the result of a user's function; what takes no such arguments is an error of ours.

    Raises
    ------
    GraphTypeError
        If it is no function, or has other parameters.
    """
    try:
        return function(*arguments, **keywords)
    except TypeError as error:
        trace = error.__traceback__
        if trace is not None and trace.tb_next is not None:  # raised inside of the function
            raise
        count = len(arguments) + len(keywords)
        raise GraphTypeError(
            f"{what} is called with {count} argument{'s' * (count != 1)}: {error}",
            remedy="Pass a function, such as a lambda, that takes them.",
        ) from None


def close_over(
    outputs: Sequence[Node], arguments: Sequence[Node], made: Iterable[Node]
) -> tuple[Graph, list[Node]]:
    """Return a closed body that computes ``outputs`` from ``arguments``, and the captured nodes.

    Parameters
    ----------
    outputs : sequence of Node
    arguments : sequence of Node
        Placeholders, which become the first inputs of the body.
    made : iterable of Node
        The nodes that the body owns, if it uses them: all that were made while it was traced.

    Returns
    -------
    body : Graph
        Its inputs are the arguments, then placeholders for the captured nodes.
    captured : list of Node
        The nodes used by the body that it does not own; items in place of structures.
    """
    given = set(arguments)
    own = {node for node in made if node.op is not None}
    inside: set[Node] = set()
    outside: dict[Node, None] = {}
    pending = list(reversed(outputs))
    while pending:
        node = pending.pop()
        if node in inside or node in given or isinstance(node, Constant):
            continue
        if node in own:
            inside.add(node)
            pending += reversed(node.inputs)
        else:
            outside[node] = None
    captured: dict[Node, Node] = {}
    stand_ins = {node: _stand_in(node, captured) for node in outside}
    leaves = [*arguments, *captured.values()]
    if any(node is not stand_ins[node] for node in outside):
        graph = rebuild(Graph(outputs, [*arguments, *outside]), replace_inputs, stand_ins)
        outputs = graph.outputs
    return Graph(outputs, leaves), list(captured)


def close_together(
    parts: Iterable[tuple[Sequence[Node], Sequence[Node], Iterable[Node]]],
) -> tuple[list[Graph], list[Node]]:
    """Close several bodies, of which each takes what any of them captures.

    Parameters
    ----------
    parts : iterable of (outputs, arguments, made)
        The arguments of :func:`close_over`.
    """
    closed = [close_over(*part) for part in parts]
    captured = list(dict.fromkeys(node for _, nodes in closed for node in nodes))
    graphs = []
    for graph, nodes in closed:
        count = len(graph.inputs) - len(nodes)
        own = dict(zip(nodes, graph.inputs[count:], strict=True))
        more = [own[node] if node in own else placeholder(node) for node in captured]
        graphs.append(Graph(graph.outputs, [*graph.inputs[:count], *more]))
    return graphs, captured


def _stand_in(node: Node, captured: dict[Node, Node]) -> Node:
    """Return what represents an outer node in a body; note the outer values that it needs."""
    if not is_structure(node):
        return captured.setdefault(node, placeholder(node))
    assert isinstance(node.type, StructureType)
    present = tuple(item is not None for _, item in node.type.fields)
    keys = [key for key, there in zip(node.type.keys, present, strict=True) if there]
    items = [_stand_in(structure_item(node, key), captured) for key in keys]
    return apply(MakeStructure(node.type.kind, node.type.keys, present), *items)


def inline(body: Graph, inputs: Sequence[Node]) -> Sequence[Node]:
    """Copy a body's nodes into the current context, with ``inputs`` in place of its own."""
    context = current_creation()

    def copy(node: Node, sources: tuple[Node, ...]) -> Node:
        with creating(context):
            return replace_inputs(node, sources)

    return rebuild(body, copy, dict(zip(body.inputs, inputs, strict=True))).outputs


def pulled(
    body: Graph,
    wanted: Sequence[int],
    seeds: Sequence[Node | None],
    conditions: Sequence[Node | None] | None,
) -> tuple[list[Derivative], list[Node]]:
    """Return the adjoints of ``wanted`` inputs of a body, and the nodes that the result owns.

    ``seeds`` are placeholders of the adjoints of the outputs, ``None`` for those without one;
    ``conditions`` are placeholders of where they can differ from 0.
    """
    given = [k for k, seed in enumerate(seeds) if seed is not None]
    if not given:
        return [(None, None) for _ in wanted], []
    with tracing() as made:
        found = FUNCTIONS["pull_body"](
            [body.outputs[k] for k in given],
            [body.inputs[k] for k in wanted],
            [seeds[k] for k in given],
            None if conditions is None else [conditions[k] for k in given],
        )
    return found, [*body.nodes, *made]


def pushed(
    body: Graph,
    seeds: Sequence[Node | None],
    conditions: Sequence[Node | None] | None,
) -> tuple[list[Derivative], list[Node]]:
    """Return the tangents of the outputs of a body, and the nodes that the result owns.

    ``seeds`` are placeholders of the tangents of the inputs, ``None`` for those without one.
    """
    given = [k for k, seed in enumerate(seeds) if seed is not None]
    if not given:
        return [(None, None) for _ in body.outputs], []
    with tracing() as made:
        found = FUNCTIONS["push_body"](
            body.outputs,
            [body.inputs[k] for k in given],
            [seeds[k] for k in given],
            None if conditions is None else [conditions[k] for k in given],
        )
    return found, [*body.nodes, *made]


def stand_ins(values: Sequence[Node | None], likes: Sequence[Node | None]) -> list[Node | None]:
    """Return a placeholder like a node for each value that is not ``None``."""
    return [
        None if value is None or like is None else placeholder(like)
        for value, like in zip(values, likes, strict=True)
    ]


def like_found(found: Sequence[Derivative], nodes: Sequence[Node]) -> list[Derivative]:
    """Return ``nodes`` in place of the nodes of ``found``, in order."""
    rest = iter(nodes)
    return [
        (None if v is None else next(rest), None if where is None else next(rest))
        for v, where in found
    ]


def present(values: Iterable[Node | None]) -> list[Node]:
    """Return the values that are not ``None``."""
    return [value for value in values if value is not None]
