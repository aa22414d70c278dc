"""Fuse elementwise ops, and the reductions around them, into loop nests: :class:`Fused` ops.

Nodes are visited from the outputs back.  Each joins the group of its users if it can be computed in
the same loop nest; groups of its users that can share one loop nest are merged.  A value that is
used by several groups, or by an op that is not fused, is computed in the earliest of them and
written out.

Each group has a *level*: all users of its members outside the group are at a lower level, so that
groups never wait for each other.  A node joins groups at the highest level among its users; another
of their groups is lifted to that level, and its sources above it, unless they are themselves among
the users.

In a group, a value is computed per element of the nest, per row (of the axes from the group's
``split`` on), or at the end of the nest, by a reduction over all axes or over those before
``split``.  Rows allow softmax or layer normalisation to be one group: reduce along the row, then
use the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from symad.graph.graph import Graph, descend
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.graph.provenance import creating
from symad.ops.base import PerElement
from symad.ops.body import placeholder
from symad.ops.extremum import Max, Min
from symad.ops.fused import Fused
from symad.ops.reduce import Reduction, Sum
from symad.ops.shape import BroadcastTo, ExpandDims, Reshape, Squeeze
from symad.ops.structure import structure_item
from symad.passes.decompose import is_dense
from symad.passes.rewrite import with_inputs
from symad.types import TensorType, normalize_axes

Shape = tuple[int, ...]
Form = tuple[Shape, int | None]
"""Space and split of a group."""
Users = dict[Node, list[tuple[Node, int]]]
"""The uses of each node, as returned by :meth:`Graph.consumers`."""
Supports = Callable[[Node], bool]
"""Whether a backend has code for one element of a node's op."""

_SHORTEST_ROW = 2
"""The least length of a row: one element alone is no row."""
_MOST_MEMBERS = 64
"""The most members of a group: more would only slow the compiler down."""
_MOST_LIFTED = 16
"""The most groups and nodes that are lifted for one node, which bounds its cost."""
_LONGEST_ROW = 1 << 15
"""The most elements that may form one row, which is not split over threads."""


def fuse(graph: Graph, supports: Supports) -> Graph:
    """Return a specialised graph with groups of nodes as :class:`Fused` ops.

    Parameters
    ----------
    graph : Graph
        All types are static, and ops are decomposed; see :mod:`symad.passes.decompose`.
    supports : callable
        Returns, for an elementwise node, whether the backend has code for one element of it.

    Examples
    --------
    >>> import symad as sm
    >>> from symad.passes.decompose import decompose
    >>> x = sm.Variable("x", shape=(5, 100))
    >>> print(fuse(decompose(sm.Graph([sm.softmax(x)])), lambda node: True))
    graph(%0: f64[5,100] "x")
      %1: f64[5,100] = fused(%0, body=
        graph(%0: f64[5,100] "x")
          %1: f64[5,1] = max(%0, axis=-1, keepdims=True)
          %2: f64[5,100] = subtract(%0, %1)
          %3: f64[5,100] = exp(%2)
          %4: f64[] = constant 1.0
          %5: f64[5,1] = sum(%3, axis=-1, keepdims=True)
          %6: f64[5,1] = divide(%4, %5)
          %7: f64[5,100] = multiply(%3, %6)
          return %7
      , space=(5, 100), split=1)
      return %1
    """
    users = graph.consumers()
    groups = _Grouping(graph, users, supports).groups()
    return _with_groups(graph, users, groups) if groups else graph


def shape_of(node: Node) -> Shape:
    """Return the shape of a value whose shape is known."""
    assert isinstance(node.type, TensorType)
    return node.type.shape  # type: ignore[return-value]


def row_shapes(space: Shape, split: int) -> tuple[Shape, Shape]:
    """Return the two possible shapes of one number per row: without and with the row's axes."""
    return space[:split], space[:split] + (1,) * (len(space) - split)


def reduced_axes(op: Op, source: Node) -> tuple[int, ...]:
    """Return the axes of ``source`` that a reduction goes over."""
    assert isinstance(op, Reduction)
    return normalize_axes(op.axis, len(shape_of(source)))


class Group:
    """Nodes that are computed in one loop nest.

    Attributes
    ----------
    level : int
        Higher than that of any group that uses one of its members.
    space : tuple of int
    split : int or None
    members : list of Node
        Users before their sources.
    """

    def __init__(self, level: int, space: Shape, split: int | None) -> None:
        self.level = level
        self.space = space
        self.split = split
        self.members: list[Node] = []

    def holds_rows_of(self, space: Shape, split: int) -> bool:
        """Return whether this group's nest is, or can become, one over rows of ``space``."""
        if self.split is not None or self.space not in row_shapes(space, split):
            return False
        return math.prod(space[split:]) >= _SHORTEST_ROW


Unit = Node | Group
"""A group or a single node, which is computed at once."""


class _Grouping:
    """Finds the groups of one graph."""

    def __init__(self, graph: Graph, users: Users, supports: Supports) -> None:
        self._graph = graph
        self._supports = supports
        self._users = users
        self._dense = {node for node in graph.nodes if is_dense(node)}
        self._group: dict[Node, Group] = {}
        self._merged: dict[Group, Group] = {}
        self._level: dict[Node, int] = {}
        self._supported: dict[tuple[Any, ...], bool] = {}
        self._rows = self._find_rows()

    def groups(self) -> list[Group]:
        """Return the groups of at least two members, users before their sources."""
        given = set(self._graph.inputs)
        for node in reversed(self._graph.nodes):
            if node.op is not None and node not in given:
                self._place(node)
        self._merge_outputs()
        return [group for group in self._found() if _is_worthwhile(group)]

    def _found(self) -> list[Group]:
        return list(dict.fromkeys(self._root(group) for group in self._group.values()))

    def _merge_outputs(self) -> None:
        """Merge groups that compute only outputs and read an array of the same size.

        Groups of one level do not wait for each other.  Values that others wait for are better
        computed when they are needed, since they take memory from then on.
        """
        fetched = set(self._graph.outputs)
        reader: dict[tuple[int, Shape, Node], Group] = {}
        for group in self._found():
            if not all(member in fetched or self._is_inside(member) for member in group.members):
                continue
            sources = (source for member in group.members for source in member.inputs)
            for source in dict.fromkeys(sources):
                if not is_dense(source) or shape_of(source) != group.space:
                    continue
                group = self._root(group)
                place = group.level, group.space, source
                other = self._root(reader.get(place, group))
                form = _joint_form([group, other])
                count = len(group.members) + len(other.members)
                if other is not group and form is not None and count <= _MOST_MEMBERS:
                    group = self._merge([group, other], group.level, form)
                reader[place] = group

    def _is_inside(self, node: Node) -> bool:
        """Return whether a node is used only in its group."""
        group = self._group_of(node)
        return all(self._group_of(user) is group for user, _ in self._users[node])

    def _find_rows(self) -> dict[Node, tuple[Shape, int]]:
        """Return the nodes with one number per row, with space and split of their rows."""
        rows: dict[Node, tuple[Shape, int]] = {}
        given = set(self._graph.inputs)
        for node in self._graph.nodes:
            if node.op is None or node in given or node not in self._dense:
                continue
            if _is_reduction(node):
                split = _split_of(node)
                if split is not None:
                    rows[node] = (shape_of(node.inputs[0]), split)
            elif isinstance(node.op, (PerElement, ExpandDims, Squeeze, Reshape)):
                found = next((rows[source] for source in node.inputs if source in rows), None)
                if found is not None and shape_of(node) in row_shapes(*found):
                    rows[node] = found
        return rows

    def _root(self, group: Group) -> Group:
        while group in self._merged:
            group = self._merged[group]
        return group

    def _group_of(self, node: Node) -> Group | None:
        group = self._group.get(node)
        return None if group is None else self._root(group)

    def _place(self, node: Node) -> None:
        """Let ``node`` join groups of its users, start a group, or stay alone."""
        users = list(dict.fromkeys(user for user, _ in self._users[node]))
        level = 1 + max(map(self._level_of, users), default=-1)
        group = None
        if self._can_fuse(node):
            group = self._join(node, users, level - 1) or self._new_group(node, level)
        self._level[node] = level
        if group is not None:
            self._group[node] = group
            group.members.append(node)

    def _unit_of(self, node: Node) -> Unit:
        return self._group_of(node) or node

    def _level_of(self, unit: Unit) -> int:
        group = unit if isinstance(unit, Group) else self._group_of(unit)
        return self._level[unit] if group is None else group.level  # type: ignore[index]

    def _lift(self, group: Group, level: int, users: Sequence[Node]) -> bool:
        """Lift a group and its sources above it; return whether other ``users`` stay in place."""
        fixed = {self._unit_of(user) for user in users}
        lifted: dict[Unit, int] = {group: level}
        pending: list[Unit] = [group]
        while pending:
            unit = pending.pop()
            least = lifted[unit] + 1
            for member in unit.members if isinstance(unit, Group) else [unit]:
                for source in member.inputs:
                    below = self._unit_of(source)
                    if source not in self._level or below is unit:
                        continue
                    if max(self._level_of(below), lifted.get(below, 0)) >= least:
                        continue
                    if below in fixed or len(lifted) > _MOST_LIFTED:
                        return False
                    lifted[below] = least
                    pending.append(below)
        for unit, new in lifted.items():
            if isinstance(unit, Group):
                unit.level = new
            else:
                self._level[unit] = new
        return True

    def _can_fuse(self, node: Node) -> bool:
        if node not in self._dense or not self._dense.issuperset(node.inputs):
            return False
        if _is_reduction(node):
            return "float16" not in (node.dtype, node.inputs[0].dtype)
        if isinstance(node.op, PerElement):  # of which many have the same op and types
            key = node.op, id(node.type), *[id(source.type) for source in node.inputs]
            known = self._supported.get(key)
            if known is None:
                known = self._supported[key] = bool(self._supports(node))
            return known
        return isinstance(node.op, (BroadcastTo, ExpandDims, Squeeze, Reshape))

    def _new_group(self, node: Node, level: int) -> Group | None:
        if _is_reduction(node):
            space, split = shape_of(node.inputs[0]), _split_of(node)
            axes = reduced_axes(_op(node), node.inputs[0])
            if split == 0:
                return Group(level, space, None)
            if split is None and axes == tuple(range(len(axes))):
                return Group(level, space, len(axes))
            return None if split is None else Group(level, space, split)
        if isinstance(node.op, PerElement) and math.prod(shape_of(node)) > 1:
            return Group(level, shape_of(node), None)
        return None

    def _join(self, node: Node, users: Sequence[Node], top: int) -> Group | None:
        """Return the group that ``node`` can join, merged from those of its users, or ``None``.

        Parameters
        ----------
        node : Node
        users : sequence of Node
        top : int
            The highest level among the users.
        """
        users_of: dict[Group, list[Node]] = {}
        is_alone = not users
        for user in users:
            group = self._group_of(user)
            if group is not None:
                users_of.setdefault(group, []).append(user)
            elif self._level[user] == top:
                is_alone = True
        joined = [group for group in users_of if group.level == top]
        level = top
        form = None if is_alone else self._form_of(node, joined, users_of)
        if form is None:  # then it must be at a higher level than all its users
            joined, level = [], top + 1
        for group in users_of:
            if group not in joined:
                wider = self._form_of(node, [*joined, group], users_of)
                if wider is not None and self._lift(group, level, users):
                    joined, form = [*joined, group], wider
        return None if form is None else self._merge(joined, level, form)

    def _form_of(
        self, node: Node, groups: Sequence[Group], users_of: dict[Group, list[Node]]
    ) -> Form | None:
        """Return space and split of ``groups`` merged with ``node``, if that is possible."""
        if sum(len(group.members) for group in groups) >= _MOST_MEMBERS:
            return None
        form = _joint_form(groups)
        form = form and self._form_with(node, *form)
        if form is None:
            return None
        users = (user for group in groups for user in users_of[group])
        return form if all(_accepts(user, node, *form) for user in users) else None

    def _merge(self, groups: Sequence[Group], level: int, form: Form) -> Group:
        target = max(groups, key=lambda group: len(group.members))
        for other in groups:
            if other is not target:
                target.members += other.members
                self._merged[other] = target
        target.level = level
        target.space, target.split = form
        return target

    def _form_with(self, node: Node, space: Shape, split: int | None) -> Form | None:
        """Return space and split of a group once ``node`` has joined it; ``None`` if it cannot."""
        shape, is_reduction = shape_of(node), _is_reduction(node)
        if shape == space and isinstance(node.op, (PerElement, BroadcastTo)):
            return space, split
        if split is not None and not is_reduction and shape in row_shapes(space, split):
            return space, split
        rows = self._rows.get(node)
        if rows is None:
            return None
        if rows[1] == 0 and math.prod(rows[0]) > _LONGEST_ROW:
            return None
        if rows[0] == space and split in (None, rows[1]):
            return rows
        return rows if Group(0, space, split).holds_rows_of(*rows) else None


def _joint_form(groups: Sequence[Group]) -> Form | None:
    """Return space and split of ``groups`` merged into one, if that is possible."""
    if len(groups) == 1:
        return groups[0].space, groups[0].split
    widest = max(groups, key=lambda group: (math.prod(group.space), group.split is not None))
    for group in groups:
        same = group.space == widest.space and group.split in (None, widest.split)
        inside = widest.split is not None and group.holds_rows_of(widest.space, widest.split)
        if not same and not inside:
            return None
    return widest.space, widest.split


def _accepts(user: Node, node: Node, space: Shape, split: int | None) -> bool:
    """Return whether ``user``, in a nest of that form, can read ``node`` where it needs it."""
    shape, its = shape_of(node), shape_of(user)
    if shape == space:
        return True
    if its == space:  # a number per row, repeated along the row
        return split is not None and shape == row_shapes(space, split)[1]
    return _is_reduction(user) or shape == its or not isinstance(user.op, PerElement)


def _op(node: Node) -> Op:
    assert node.op is not None
    return node.op


def _is_reduction(node: Node) -> bool:
    return isinstance(node.op, (Sum, Max, Min)) and is_dense(node.inputs[0])


def _split_of(node: Node) -> int | None:
    """Return how many axes are before those that a reduction goes over, if they are the last."""
    shape = shape_of(node.inputs[0])
    axes = reduced_axes(_op(node), node.inputs[0])
    split = len(shape) - len(axes)
    if axes != tuple(range(split, len(shape))) or math.prod(shape[split:]) < 2:
        return None
    return split


def _is_worthwhile(group: Group) -> bool:
    computing = [n for n in group.members if isinstance(n.op, PerElement) or _is_reduction(n)]
    return len(computing) > 1


# Rebuilding the graph with the groups as ops


def _with_groups(graph: Graph, users: Users, groups: Sequence[Group]) -> Graph:
    """Return the graph with each group as one op, and its outside users on the op's results."""
    group_of = {member: group for group in groups for member in group.members}
    fetched = set(graph.outputs)
    new: dict[Node, Node] = {}

    def resolve(node: Node) -> Node:
        return new.get(node, node)

    for unit in _in_order(graph, group_of):
        if isinstance(unit, Group):
            made = [
                member
                for member in reversed(unit.members)
                if member in fetched or any(group_of.get(u) is not unit for u, _ in users[member])
            ]
            new.update(_fused_nodes(unit, made, resolve))
        else:
            new[unit] = with_inputs(unit, tuple(map(resolve, unit.inputs)))
    lineage = descend(graph, {node: resolve(node) for node in graph.nodes})
    return Graph(map(resolve, graph.outputs), graph.inputs, lineage)


def _in_order(graph: Graph, group_of: dict[Node, Group]) -> list[Unit]:
    """Return the computed nodes that are in no group, and the groups, sources before users."""
    given = set(graph.inputs)
    order: list[Unit] = []
    is_done: dict[Unit, bool] = {}  # False while the sources of a unit are being visited
    for node in graph.nodes:
        stack: list[Unit] = [] if node.op is None or node in given else [group_of.get(node, node)]
        while stack:
            unit = stack.pop()
            state = is_done.get(unit)
            if state is None:
                is_done[unit] = False
                stack.append(unit)
                for member in unit.members if isinstance(unit, Group) else (unit,):
                    for source in member.inputs:
                        below = group_of.get(source, source)
                        if below not in is_done and source.op is not None and source not in given:
                            stack.append(below)
            elif not state:
                is_done[unit] = True
                order.append(unit)
    return order


def _fused_nodes(
    group: Group, made: Sequence[Node], resolve: Callable[[Node], Node]
) -> dict[Node, Node]:
    """Return new nodes for the values ``made`` by a group; for other members those in its body."""
    members = group.members[::-1]
    inside = set(members)
    outer = [source for node in members for source in node.inputs if source not in inside]
    taken = list(dict.fromkeys(node for node in outer if not _is_number(node)))
    new = {node: placeholder(node) for node in taken}
    leaves = list(new.values())
    for node in members:
        new[node] = with_inputs(node, tuple([new.get(source, source) for source in node.inputs]))
    body = Graph([new[node] for node in made], leaves)
    op = Fused(body, group.space, group.split)
    inputs = tuple(resolve(node) for node in taken)
    last = made[-1]
    whole = Node(op, inputs, op.infer(), last.name if len(made) == 1 else None, last)
    found = {node: new[node] for node in members}
    if len(made) == 1:
        return found | {last: whole}
    for key, node in enumerate(made):
        with creating(node):
            found[node] = structure_item(whole, key)
    return found


def _is_number(node: Node) -> bool:
    return isinstance(node, Constant) and node.value.size == 1
