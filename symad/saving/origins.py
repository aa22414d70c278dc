"""The provenance of nodes as data: names, scopes, source lines, and roles in derivatives.

A role may refer to nodes outside the graph, whose values the graph does not need.  They are kept
with what they are computed from, as pictures and explanations show them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from symad.errors import SavedGraphError
from symad.graph.graph import Graph
from symad.graph.node import Node, Parameter, Variable
from symad.graph.op import Op
from symad.graph.provenance import Creation, Role, RoleKind, Site
from symad.graph.traverse import topological_order
from symad.saving.attributes import is_row, part, shown
from symad.saving.sites import SavedSite
from symad.saving.writer import GraphTables, graphs_in, inner_first, is_savable
from symad.visible import visible

_LONGEST_LINE = 200
_LONGEST_PATH = 1000


# Writing


class _Rows:
    """Rows that are numbered by first appearance."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[Any, ...], int] = {}

    def number(self, row: tuple[Any, ...]) -> int:
        return self.numbers.setdefault(row, len(self.numbers))

    @property
    def rows(self) -> list[list[Any]]:
        return [list(row) for row in self.numbers]


def write_provenance(tables: GraphTables) -> tuple[dict[str, Any], list[Parameter]]:
    """Return the provenance of all nodes that were written, and the parameters outside."""
    grown = {"types": tables.types, "ops": tables.ops, "graphs": tables.graphs}
    marks = {key: len(table) for key, table in grown.items()}
    parameters = len(tables.parameters)
    outside = _Outside(tables)
    tables.dimensions.add([node.type for graph in outside.graphs for node in graph.nodes])
    tables.dimensions.add([node.type for node in outside.nodes])
    for graph in outside.graphs:
        tables.add_graph(graph)
    anywhere = {node: len(tables.nodes) + k for k, node in enumerate(outside.nodes)}
    for places in reversed(tables.places):
        anywhere.update(places)  # the first graph counts
    rows = tables.rows_outside(outside.nodes, anywhere, outside.follows)
    nodes = [*tables.nodes, *outside.nodes]
    data = {
        **{key: table[marks[key] :] for key, table in grown.items()},
        "outside": rows,
        **_write_lines(nodes),
        **_write_scopes(nodes),
        "names": _write_names(nodes, [*_rows_of(tables), *rows]),
        "shared": _write_shared(tables.places, _rows_of(tables)),
        "roles": _write_roles(tables.places, outside.nodes, anywhere),
    }
    return data, tables.parameters[parameters:]


class _Outside(Collection[Node]):
    """The nodes outside the graphs that roles lead to, and the graphs in their ops.

    As a collection, it holds the nodes whose inputs are not followed.
    """

    def __init__(self, tables: GraphTables) -> None:
        self.graphs: list[Graph] = []
        self._known = set(tables.nodes)
        self._inside = set(tables.nodes)
        self._written = {id(graph) for graph in tables.all_graphs}
        self._savable: dict[int, bool] = {}
        found: list[Node] = []
        pending: Sequence[Node] = tables.nodes
        while pending:
            referred = dict.fromkeys(end for node in pending for end in _ends(node.role))
            fresh = [node for node in referred if node not in self._known]
            pending = [
                node for node in topological_order(fresh, stop=self) if node not in self._known
            ]
            self._known.update(pending)
            found += pending
            pending = [*pending, *self._nodes_in(pending)]
        self.nodes = [node for node in found if node not in self._inside]

    def _nodes_in(self, nodes: Sequence[Node]) -> Iterator[Node]:
        """Yield the nodes of further graphs, which are noted."""
        ops = [node.op for node in nodes if node.op is not None and self.follows(node.op)]
        for graph in [inner for op in ops for used in graphs_in(op) for inner in inner_first(used)]:
            if id(graph) not in self._written:
                self._written.add(id(graph))
                self.graphs.append(graph)
                own = (*graph.inputs, *graph.nodes)
                self._known.update(own)
                self._inside.update(own)
                yield from own

    def follows(self, op: Op) -> bool:
        """Return whether the nodes of an op are kept as they are; else they become leaves."""
        known = self._savable.get(id(op))
        if known is None:
            known = self._savable[id(op)] = is_savable(op)
        return known

    def __contains__(self, node: object) -> bool:
        return node in self._known or not (
            isinstance(node, Node) and (node.op is None or self.follows(node.op))
        )

    def __iter__(self) -> Iterator[Node]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _ends(role: Role[Node] | None) -> tuple[Node, ...]:
    """Return the nodes that a role refers to."""
    if role is None:
        return ()
    return (role.node,) if role.consumer is None else (role.node, role.consumer)


def _rows_of(tables: GraphTables) -> list[Any]:
    return [row for graph in tables.graphs for row in graph["nodes"]]


def _write_names(nodes: Sequence[Node], rows: Sequence[Any]) -> list[list[Any]]:
    """Return the names that are not in the rows."""
    return [
        [k, node.name]
        for k, (node, row) in enumerate(zip(nodes, rows, strict=True))
        if node.name is not None and (type(row[0]) is int or row[0] == "constant")
    ]


def _write_scopes(nodes: Sequence[Node]) -> dict[str, Any]:
    scopes = _Rows()
    column = [scopes.number(node.scope) for node in nodes]
    return {"scopes": scopes.rows, "scope": column}


def _write_lines(nodes: Sequence[Node]) -> dict[str, Any]:
    files, lines = _Rows(), _Rows()
    known: dict[int, int] = {}  # many nodes share a site
    column = []
    for node in nodes:
        site = node.site
        number = known.get(id(site))
        if number is None:
            file = files.number((visible(site.filename, _LONGEST_PATH),))
            text = visible(site.source, _LONGEST_LINE)
            number = known[id(site)] = lines.number((file, site.line, text))
        column.append(number)
    return {"files": [name for (name,) in files.numbers], "lines": lines.rows, "line": column}


def _write_shared(graphs: Sequence[Mapping[Node, int]], rows: Sequence[Any]) -> list[list[int]]:
    """Return each node of a graph that is also a node of an earlier one, and its number there.

    The bodies of a loop and of its derivatives share nodes, which have one name in all of them.
    """
    first: dict[Node, int] = {}
    found = []
    for node, number in [pair for own in graphs for pair in own.items()]:
        is_fed = node.op is not None and type(rows[number][0]) is str
        if not is_fed and not isinstance(node, Variable):
            earlier = first.setdefault(node, number)
            if earlier != number:
                found.append([number, earlier])
    return found


def _write_roles(
    graphs: Sequence[Mapping[Node, int]], outside: Sequence[Node], anywhere: Mapping[Node, int]
) -> list[list[Any]]:
    """Return the roles; a node is looked up in the graph of the role, and then anywhere."""
    rows: list[list[Any]] = []
    for own in (*graphs, {node: anywhere[node] for node in outside}):
        for node, number in own.items():
            role = node.role
            if role is not None and number == anywhere[node]:
                ends = [own[end] if end in own else anywhere[end] for end in _ends(role)]
                rows.append([number, str(role.kind), role.generation, role.slot, *ends])
    return rows


# Reading

_ROLE_KINDS = {str(kind): kind for kind in RoleKind}


class Origins:
    """The provenance of the nodes of a file.

    Attributes
    ----------
    creations : list of Creation
        The scope and the line of each node.
    names : dict from int to str
        The names that are not in the rows of nodes.
    shared : dict from int to int
        The number under which a node is part of an earlier graph, too.
    """

    def __init__(self, data: Any, count: int) -> None:
        lines = self._lines(data)
        scopes = [_scope(row) for row in part(data, "scopes", list)]
        columns = [
            _column(data, key, count, len(table))
            for key, table in (("scope", scopes), ("line", lines))
        ]
        known: dict[tuple[int, int], Creation] = {}
        self.creations = []
        for pair in zip(*columns, strict=True):
            creation = known.get(pair)
            if creation is None:
                creation = known[pair] = Creation(scopes[pair[0]], lines[pair[1]])
            self.creations.append(creation)
        self.names = dict(self._names(data, count))
        self.shared = dict(self._shared(data, count))
        self._roles = part(data, "roles", list)

    def _lines(self, data: Any) -> list[Site]:
        files: list[Any] = part(data, "files", list)
        lines: list[Site] = []
        for row in part(data, "lines", list):
            if not is_row(row, int, int, str) or not 0 <= row[0] < len(files) or row[1] < 0:
                raise SavedGraphError(f"lines: {shown(row)} is not a line of a file")
            name = files[row[0]]
            if not isinstance(name, str):
                raise SavedGraphError(f"files: {shown(name)} is not text")
            lines.append(
                SavedSite(visible(name, _LONGEST_PATH), row[1], visible(row[2], _LONGEST_LINE))
            )
        return lines

    def _names(self, data: Any, count: int) -> Iterator[tuple[int, str]]:
        for row in part(data, "names", list):
            if not is_row(row, int, str) or not 0 <= row[0] < count:
                raise SavedGraphError(f"names: {shown(row)} is not a node and its name")
            yield row[0], row[1]

    def _shared(self, data: Any, count: int) -> Iterator[tuple[int, int]]:
        for row in part(data, "shared", list):
            if not is_row(row, int, int) or not 0 <= row[1] < row[0] < count:
                raise SavedGraphError(f"shared: {shown(row)} is not a node and an earlier one")
            yield row[0], row[1]

    def set_roles(self, nodes: Sequence[Node]) -> None:
        """Give the nodes their roles."""
        places = range(len(nodes))
        roles: dict[tuple[Any, ...], Role[Node]] = {}  # the steps of a rule share a role
        for row in self._roles:
            is_role = isinstance(row, list) and len(row) in (5, 6) and isinstance(row[1], str)
            if not is_role or row[1] not in _ROLE_KINDS:
                raise SavedGraphError("roles: a row has another form")
            number, kind, generation, slot, *ends = row
            integers = [number, generation, *ends, *([] if slot is None else [slot])]
            if set(map(type, integers)) != {int} or not (
                all(place in places for place in (number, *ends))
                and (slot is None or 0 <= slot < _LARGEST)
                and 0 < generation < _LARGEST
            ):
                raise SavedGraphError(f"roles: the role of node {shown(number)} is damaged")
            target, *more = [nodes[place] for place in ends]
            consumer = more[0] if more else None
            known = Role(_ROLE_KINDS[kind], generation, target, consumer, slot)
            nodes[number].role = roles.setdefault((kind, generation, slot, *ends), known)


_LARGEST = 2**31


def _scope(row: Any) -> tuple[str, ...]:
    if not isinstance(row, list) or not all(isinstance(name, str) for name in row):
        raise SavedGraphError(f"scopes: {shown(row)} is not a list of names")
    return tuple(row)


def _column(data: Any, key: str, count: int, limit: int) -> list[int]:
    """Return a column: a number of a row for each node."""
    found: list[int] = part(data, key, list)
    right = len(found) == count and set(map(type, found)) <= {int}
    if not right or (found and not (0 <= min(found) and max(found) < limit)):
        raise SavedGraphError(f"{key}: it does not have the number of a row for each node")
    return found
