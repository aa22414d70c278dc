"""Compute elementwise values of joined arrays in windows, without making the joined arrays.

In x · concat([1, y[:-1]]), element i is x[i] y[i - 1], but for the first.  So the value is the
concatenation of a short window, and of a long one that reads a slice of y.  If y is itself computed
from slices and joins, its elements may be computed again where they are needed: four steps of a
Runge-Kutta method on shifted arrays become one loop nest, which reads its operands once.  The short
windows are computed from joins of a few elements.

A *place* is an index along the axis of the joins, which all arrays have; those before it have one
element.  It is counted from the last one.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from symad.graph.cost import ELEMENTARY
from symad.graph.graph import Graph, descend
from symad.graph.node import Constant, Node, apply
from symad.graph.provenance import creating
from symad.ops.base import PerElement
from symad.ops.control import Call
from symad.ops.index import Index
from symad.ops.join import Concat
from symad.ops.reduce import Reduction
from symad.ops.shape import BroadcastTo
from symad.ops.subscript import FULL
from symad.passes.decompose import is_dense
from symad.passes.fuse import Supports, shape_of
from symad.passes.pieces import JOINS, pieces_of, places
from symad.passes.rewrite import closed, with_inputs
from symad.records import dataclass

_PER_WINDOW = 256
"""A window pays for at least so many elements."""
_UNIT = 8
"""Long windows begin at multiples of so many places, which are whole lines of a cache."""
_SHORT = 64
"""Windows with fewer places are part of a neighbour."""
_FEW = 16
"""The most elements of an array in a window that is one call,"""
_MOST_CALLED = 600
"""and of all arrays in it."""
_MOST_COMPUTED = 160
"""The most values that are computed for each place of a window,"""
_MOST_ALONE = 16
"""and the most that are computed again where no join is read."""
_MOST_CUTS = 32
_DEEPEST = 256
"""The most values, slices and joins that are followed from one to the next."""
_PER_ARRAY = 16
"""So many operations for each element take less time than an array that is written and read."""


@dataclass(frozen=True, slots=True)
class _Needs:
    """What is computed for each place of a value.

    Attributes
    ----------
    values : frozenset of pairs of Node and int
        Elementwise values and how many places further they are computed.
    cuts : frozenset of int
        The places where a window begins that is computed from other pieces than the one before.
    depth : int
        The most values, slices and joins from one to the next.
    """

    values: frozenset[tuple[Node, int]] = frozenset()
    cuts: frozenset[int] = frozenset()
    depth: int = 0


_NOTHING = _Needs()
Runs = list[tuple[int, int]]
"""The first places of runs, and those after the last."""


def compute_in_windows(graph: Graph, supports: Supports) -> Graph:
    """Return the graph with elementwise ops on joins computed in windows, if they are large.

    Parameters
    ----------
    graph : Graph
        All types are static.
    supports : callable
        Returns, for an elementwise node, whether it can be part of a loop nest.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(10_000,))
    >>> shifted = sm.concat([sm.ones(1), x[:-1]])
    >>> print(compute_in_windows(sm.Graph([sm.exp(shifted)]), lambda node: True))
    graph(%0: f64[10000] "x")
      %1: f64[] = constant 1.0
      %2: f64[1] = broadcast_to(%1, shape=(1,))
      %3: f64[7] = index(%0, key=((0, 7, None),))
      %4: f64[8] = concat(%2, %3, axis=-1)
      %5: f64[8] = exp(%4)
      %6: f64[9992] = index(%0, key=((7, 9999, None),))
      %7: f64[9992] = exp(%6)
      %8: f64[10000] = concat(%5, %7, axis=-1)
      return %8
    """
    axes = {_axis_from_end(node) for node in graph.nodes if type(node.op) in JOINS}
    for axis in sorted(axes - {0}):
        graph = _Windows(graph, supports, axis).graph()
    return graph


def _axis_from_end(node: Node) -> int:
    """Return the first axis with several places, counted from the end; 0 for small arrays."""
    if not is_dense(node) or math.prod(shape_of(node)) < 2 * _PER_WINDOW:
        return 0
    shape = shape_of(node)
    return len(shape) - next(axis for axis, size in enumerate(shape) if size > 1)


class _Windows:
    """The windows of one graph along one axis.

    Arrays that are *made* are in memory as a whole: others read slices of them.
    """

    def __init__(self, graph: Graph, supports: Supports, axis: int) -> None:
        self._graph, self._axis = graph, axis
        self._given = set(graph.inputs)
        computed = (n for n in graph.nodes if n.op is not None and n not in self._given)
        own = [n for n in computed if all(map(is_dense, (n, *n.inputs)))]
        self._pieces = {node: found for node in own if (found := pieces_of(node, axis))}
        self._elementwise = {
            node
            for node in own
            if isinstance(node.op, PerElement) and places(node, axis) > 1 and supports(node)
        }
        self._crossed = {each.source for found in self._pieces.values() for each in found}
        self._made: set[Node] = set()
        self._reduced = {n.inputs[0] for n in own if isinstance(n.op, Reduction)}
        self._index = {node: k for k, node in enumerate(graph.nodes)}
        for source in self._crossed:
            self._index.setdefault(source, -len(self._index))
        self._needs: dict[Node, _Needs] = {}
        self._new: dict[Node, Node] = {}
        self._windows: dict[tuple[Node, int, int], Node] = {}

    def graph(self) -> Graph:
        """Return the graph with windows."""
        graph, new = self._graph, self._new
        self._find_made()
        for node in graph.nodes:
            if node in self._pieces:
                self._add_pieces(node)
            elif node in self._elementwise:
                self._add_elementwise(node)
        targets = [n for n in graph.nodes if n in self._made and self._is_target(n)]
        if not targets:
            return graph
        windows = self._windows_of(targets)
        for node in graph.nodes:
            if node.op is None or node in self._given:
                new[node] = node
            elif node in windows:
                with creating(node):
                    new[node] = apply(Concat(-self._axis), *self._computed_in(node, windows[node]))
            else:
                new[node] = with_inputs(node, tuple([new[source] for source in node.inputs]))
        return Graph([new[node] for node in graph.outputs], graph.inputs, descend(graph, new))

    def _is_target(self, node: Node) -> bool:
        return node in self._elementwise and bool(self._needs[node].cuts)

    def _computed_in(self, node: Node, bounds: Sequence[tuple[int, int]]) -> Iterable[Node]:
        """Return a value in windows, where others find it."""
        for first, end in bounds:
            is_short = end - first <= _SHORT
            compute = self._at_once if is_short else self._computed
            found = self._windows[node, first, end] = compute(node, first, end)
            yield found

    # What is made, and what is computed where it is needed

    def _goes_along(self, user: Node, source: Node) -> bool:
        """Return whether a value is computed from ``source`` place by place."""
        if user in self._pieces:
            return user not in self._made
        return user in self._elementwise and places(user, self._axis) == places(source, self._axis)

    def _find_made(self) -> None:
        """Find the outputs, and what is not only read place by place."""
        self._made.update(self._graph.outputs)
        for node in reversed(self._graph.nodes):
            self._made.update(n for n in node.inputs if not self._goes_along(node, n))

    def _needs_of(self, node: Node) -> _Needs:
        """Return what a user of an array computes again."""
        return _NOTHING if node in self._made else self._needs.get(node, _NOTHING)

    def _add_pieces(self, node: Node) -> None:
        """Find what a slice or a join needs: of the piece that needs most."""
        cuts, depth = set[int](), 0
        values = [_NOTHING.values]
        for first, end, source, shift in self._pieces[node]:
            needs = self._needs_of(source)
            cuts |= {first, *(cut - shift for cut in needs.cuts if first < cut - shift < end)}
            values.append(frozenset((value, by + shift) for value, by in needs.values))
            depth = max(depth, needs.depth)
        self._needs[node] = _Needs(max(values, key=len), frozenset(cuts - {0}), depth + 1)
        if len(cuts) > _MOST_CUTS or depth > _DEEPEST:
            self._made.add(node)

    def _add_elementwise(self, node: Node) -> None:
        """Find what a value needs; if it is too much, its inputs are made."""
        read = [n for n in node.inputs if self._goes_along(node, n)]
        needs = self._needs[node] = self._joint_needs(node, read)
        if not needs.cuts and len(needs.values) > _MOST_ALONE:
            self._made.add(node)
        elif self._is_too_much(node):
            behind = self._make_behind(read)
            self._needs[node] = self._joint_needs(node, read)
            if self._is_too_much(node):
                self._made.update(n for n in behind if n in self._pieces)
                self._needs[node] = self._joint_needs(node, read)

    def _make_behind(self, read: Sequence[Node]) -> list[Node]:
        """Make the values that are read, also by slices and joins; return all these."""
        behind = dict.fromkeys(read)
        for each in (waiting := list(behind)):
            if each in self._pieces and each not in self._made:
                waiting += [n for _, _, n, _ in self._pieces[each] if n not in behind]
                behind |= dict.fromkeys(waiting)
        self._made.update(n for n in behind if n in self._elementwise)
        order = sorted(behind, key=self._index.__getitem__)
        for each in order:
            if each in self._pieces:
                self._add_pieces(each)
        return order

    def _joint_needs(self, node: Node, read: Sequence[Node]) -> _Needs:
        found = [self._needs_of(source) for source in read]
        values = frozenset({(node, 0)}).union(*(needs.values for needs in found))
        cuts = frozenset[int]().union(*(needs.cuts for needs in found))
        return _Needs(values, cuts, 1 + max((needs.depth for needs in found), default=0))

    def _is_too_much(self, node: Node) -> bool:
        """Return whether it is better to make the inputs of a value, or has too many windows.

        A value that is reduced is part of the nest of the reduction, and never made.
        """
        values, cuts = self._needs[node].values, self._needs[node].cuts
        once = {value for value, _ in values}
        again = sum(_work(value) for value, _ in values) - sum(map(_work, once))
        saved = len(self._crossed.intersection(once - {node}))
        if len(values) > _MOST_COMPUTED or again > _PER_ARRAY * saved:
            return True
        bounds = bounds_of(cuts, places(node, self._axis))
        return bool(cuts) and (node in self._reduced or not _pays(bounds, node))

    # Windows

    def _windows_of(self, targets: Iterable[Node]) -> dict[Node, list[tuple[int, int]]]:
        """Return the windows of each target: the same for those of a size, if these pay."""
        by_size: dict[int, set[int]] = {}
        for node in targets:
            by_size.setdefault(places(node, self._axis), set()).update(self._needs[node].cuts)
        found = {}
        for node in targets:
            size = places(node, self._axis)
            shared = bounds_of(by_size[size], size)
            own = bounds_of(self._needs[node].cuts, size)
            found[node] = shared if _pays(shared, node) else own
        return found

    def _window(self, node: Node, first: int, end: int) -> Node:
        """Return the values of an array at some places."""
        key = node, first, end
        if key not in self._windows:
            with creating(node):
                self._windows[key] = self._made_window(*key)
        return self._windows[key]

    def _made_window(self, node: Node, first: int, end: int) -> Node:
        if node not in self._made and node in self._pieces:
            return self._joined(
                self._window(source, a, b) for source, a, b in self._read(node, first, end)
            )
        if node not in self._made and node in self._elementwise:
            return self._computed(node, first, end)
        whole = self._new.get(node, node)
        return self._sliced(whole, first, end)

    def _computed(self, node: Node, first: int, end: int) -> Node:
        read = self._read(node, first, end)
        return self._applied(node, {source: self._window(source, a, b) for source, a, b in read})

    def _applied(self, node: Node, windows: Mapping[Node, Node]) -> Node:
        """Return an elementwise value of windows of what it reads, or of whole numbers."""
        assert node.op is not None
        inputs = [windows[n] if n in windows else self._new[n] for n in node.inputs]
        return apply(node.op, *inputs)

    def _joined(self, parts: Iterable[Node]) -> Node:
        found = list(parts)
        return found[0] if len(found) == 1 else apply(Concat(-self._axis), *found)

    def _sliced(self, node: Node, first: int, end: int) -> Node:
        """Return some places of an array."""
        shape = shape_of(node)
        before = len(shape) - self._axis
        if (first, end) == (0, shape[before]):
            return node
        if isinstance(node.op, BroadcastTo) and isinstance(node.inputs[0], Constant):
            shape = (*shape[:before], end - first, *shape[before + 1 :])
            return apply(BroadcastTo(shape), node.inputs[0])
        return apply(Index((*[FULL] * before, (first, end, None))), node)

    def _read(self, node: Node, first: int, end: int) -> list[tuple[Node, int, int]]:
        """Return what is read for some places of a value: arrays, with their places."""
        if node in self._pieces:
            return [
                (source, max(first, begin) + shift, min(end, past) + shift)
                for begin, past, source, shift in self._pieces[node]
                if max(first, begin) < min(end, past)
            ]
        return [(n, first, end) for n in node.inputs if self._goes_along(node, n)]

    # Short windows

    def _at_once(self, target: Node, first: int, end: int) -> Node:
        """Return a short window of a value, for which each other value is computed once."""
        asked, order = self._asked(target, first, end)
        found: dict[tuple[Node, int], Node] = {}

        def part(node: Node, first: int, end: int) -> Node:
            run = next(run for run in asked[node] if run[0] <= first < run[1])
            return self._sliced(found[node, run[0]], first - run[0], end - run[0])

        for node in reversed(order):
            for first, end in asked[node]:
                with creating(node):
                    if self._is_read(node, target):
                        made = self._sliced(self._new.get(node, node), first, end)
                    elif node in self._pieces:
                        made = self._joined(part(*each) for each in self._read(node, first, end))
                    else:
                        parts = {each[0]: part(*each) for each in self._read(node, first, end)}
                        made = self._applied(node, parts)
                found[node, first] = made
        read = [made for (node, _), made in found.items() if self._is_read(node, target)]
        values = (node for node in order if node in self._elementwise)
        whole = [self._new[n] for node in values for n in node.inputs if n not in asked]
        return _called(made, dict.fromkeys([*read, *whole]))

    def _is_read(self, node: Node, target: Node) -> bool:
        """Return whether an array exists before ``target`` is computed."""
        is_computed = node in self._pieces or node in self._elementwise
        return node is not target and (node in self._made or not is_computed)

    def _asked(self, target: Node, first: int, end: int) -> tuple[dict[Node, Runs], list[Node]]:
        """Return the places of all values that are read for a window, users before sources."""
        asked: dict[Node, Runs] = {target: [(first, end)]}
        waiting, order = [(-self._index[target], target)], list[Node]()
        while waiting:
            node = heapq.heappop(waiting)[1]
            order.append(node)
            if self._is_read(node, target):
                continue
            for source, *run in itertools.chain(*(self._read(node, *run) for run in asked[node])):
                if source not in asked:
                    heapq.heappush(waiting, (-self._index[source], source))
                asked[source] = _with_run(asked.get(source, ()), *run)
        return asked, order


def _with_run(runs: Iterable[tuple[int, int]], first: int, end: int) -> Runs:
    """Return runs of places with another one; those that touch are one."""
    apart = [run for run in runs if run[1] < first or end < run[0]]
    touching = [(first, end), *(run for run in runs if run not in apart)]
    return [*apart, (min(a for a, _ in touching), max(b for _, b in touching))]


def _called(window: Node, leaves: Iterable[Node]) -> Node:
    """Return a window of few elements as the result of one call, which has its own kernel.

    It computes scalars, so it is left as it is where functions of vectors have other roundings.
    """
    given = [n for n in leaves if not isinstance(n, Constant) and not isinstance(n.op, BroadcastTo)]
    body = closed(Graph([window], given))
    sizes = [math.prod(shape_of(node)) for node in body.nodes if node.op is not None]
    is_simple = all(_work(n) < ELEMENTARY for n in body.nodes if isinstance(n.op, PerElement))
    if max(sizes) > _FEW or sum(sizes) > _MOST_CALLED or not is_simple:
        return window
    return apply(Call(body, "window"), *given)


def _work(node: Node) -> int:
    assert isinstance(node.op, PerElement)
    return type(node.op).operations


def _pays(bounds: Sequence[tuple[int, int]], node: Node) -> bool:
    """Return whether a value is large enough for so many windows."""
    return len(bounds) * _PER_WINDOW <= math.prod(shape_of(node))


def bounds_of(cuts: Iterable[int], size: int) -> list[tuple[int, int]]:
    """Return windows, which short ones around the cuts separate.

    Examples
    --------
    >>> bounds_of([1, 3, 512], 1000)
    [(0, 8), (8, 512), (512, 1000)]
    """
    short = list[list[int]]()
    for cut in sorted(cuts):
        first, end = cut // _UNIT * _UNIT, min(size, -(-cut // _UNIT) * _UNIT)
        if short and first - short[-1][1] < _SHORT:
            short[-1][1] = end
        else:
            short.append([0 if first < _SHORT else first, size if size - end < _SHORT else end])
    ends = {0, size, *(end for pair in short for end in pair)}
    return list(itertools.pairwise(sorted(ends)))
