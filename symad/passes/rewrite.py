"""The driver of rewrite rules: one walk over the graph, inputs before users.

Each node is rewritten until no rule applies, before its users are visited.  A rule reads only the
sources of a node, so one walk is enough; the nodes that a rule makes are treated in the same way.
Nodes that compute the same value are shared in the same walk, so that a rule whose wildcard occurs
twice finds the same node in both places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import is_
from threading import Lock
from typing import Any, NamedTuple

from symad.graph.graph import Graph, descend, rebuild
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.graph.provenance import Creation, creating, isolated
from symad.graph.traverse import topological_order
from symad.ops.shape import BroadcastTo
from symad.passes.rule import LOOKED_AT, AnyRule, Procedure, head

_MOST_REWRITES = 64
"""The most rewrites in a row; terminating rules stay far below this bound."""
_COMPARED_BYTES = 65536
"""The largest constants to compare by value: reading larger ones would cost more."""
SHARE = Procedure("share", lambda node: None, "nodes that compute the same become one", (Op,))
"""The record for a node that computes the same value as an earlier one."""


class Rewriting(NamedTuple):
    """One use of a rule.

    Attributes
    ----------
    rule : AnyRule
    old, new : Node
    """

    rule: AnyRule
    old: Node
    new: Node


Recorder = Callable[[Rewriting], None]
Form = tuple[Any, ...]
"""What the rules to try at a node depend on: the class of its op, whether its two inputs are the
same, the heads of its first inputs, and the numbers of rules among these if there are constants."""


class _Index:
    """The rules that may apply to graphs with ops of some classes.

    Attributes
    ----------
    kinds : frozenset of op classes
    by_root : dict
        The places of the rules for each class of ops.
    numbers : frozenset
        The numbers among the inputs of roots.
    of_kind, of_form : dict
        The rules found so far.
    """

    def __init__(
        self,
        kinds: frozenset[type[Op]],
        by_root: dict[type, list[int]],
        numbers: frozenset[Any],
    ) -> None:
        self.kinds, self.by_root, self.numbers = kinds, by_root, numbers
        self.of_kind: dict[type, list[AnyRule]] = {}
        self.of_form: dict[Form, tuple[AnyRule, ...]] = {}


class RuleSet:
    """Rules in order, indexed by the classes of a node's op and of its inputs.

    Patterns are built when ops that they name occur in a graph for the first time.
    """

    def __init__(self, rules: Iterable[AnyRule]) -> None:
        self.rules = tuple(rules)
        self._index = _Index(frozenset(), {}, frozenset())
        self._lock = Lock()

    @property
    def numbers(self) -> frozenset[Any]:
        """The numbers among the inputs of roots, as far as graphs have met these."""
        return self._index.numbers

    def meet(self, kinds: frozenset[type[Op]]) -> None:
        """Index the rules that may apply to graphs with such ops."""
        if kinds <= self._index.kinds:
            return
        with self._lock:  # other threads read the old index, or the new one
            kinds |= self._index.kinds
            places = [k for k, rule in enumerate(self.rules) if rule.named <= kinds]
            by_root: dict[type, list[int]] = {}
            for place in places:
                for root in self.rules[place].roots:
                    by_root.setdefault(root, []).append(place)
            numbers = frozenset([self.rules[place].number for place in places])
            self._index = _Index(kinds, by_root, numbers)

    def numbers_in(self, node: Node) -> tuple[Any, ...]:
        """Return the constant inputs of a node that are numbers of rules."""
        values = [x.value.item() for x in node.inputs if type(x) is Constant and not x.value.ndim]
        return tuple([value for value in values if value in self._index.numbers])

    def of(self, form: Form) -> tuple[AnyRule, ...]:
        """Return the rules that may match nodes of a form."""
        index = self._index
        found = index.of_form.get(form)
        if found is None:
            kind, is_twice, *heads = form
            numbers = heads.pop() if Constant in heads else ()
            suited = index.of_kind.get(kind)
            if suited is None:
                places = {n for base in kind.__mro__ for n in index.by_root.get(base, ())}
                suited = index.of_kind[kind] = [self.rules[n] for n in sorted(places)]
            known = {None, *numbers}
            found = tuple([
                rule for rule in suited
                if (is_twice or not rule.is_twice)
                and (rule.number in known or BroadcastTo in heads)
                and rule.may_match(kind, heads)
            ])  # fmt: skip
            index.of_form[form] = found
        return found


@isolated
def rewrite(
    graph: Graph, rules: RuleSet | Iterable[AnyRule], record: Recorder | None = None
) -> Graph:
    """Return ``graph`` with rules applied until none applies; equal nodes are shared.

    New nodes inherit the site, the scope and the role of the node that they replace.

    Parameters
    ----------
    graph : Graph
    rules : RuleSet or iterable of rules
        Tried in order; the first that applies is used.  Without rules, nodes are only shared.
    record : callable, optional
        Called with each rewrite.

    Examples
    --------
    >>> import symad as sm
    >>> from symad.passes.rule import Rule
    >>> rule = Rule("square", lambda x: x * x, lambda x: sm.square(x))
    >>> x = sm.Variable("x", shape=())
    >>> print(rewrite(sm.Graph([sm.exp(x) * sm.exp(x)]), [rule]))
    graph(%0: f64[] "x")
      %1: f64[] = exp(%0)
      %2: f64[] = square(%1)
      return %2
    """
    known = rules if isinstance(rules, RuleSet) else RuleSet(rules)
    return RewriteWalk(known, record).over(closed(graph))


def closed(graph: Graph) -> Graph:
    """Return ``graph`` with leaves for computed inputs, which hides their sources.

    Any node may be fed, even a constant, and a rule must not see its sources.
    """
    leaves: dict[Node, Node] = {}
    for node in graph.inputs:
        if node.op is not None or isinstance(node, Constant):
            leaves[node] = Node(None, (), node.type, node.label, node)
    return rebuild(graph, with_inputs, leaves) if leaves else graph


def with_inputs(node: Node, inputs: tuple[Node, ...]) -> Node:
    """Return a new node like ``node`` with other inputs of the same types."""
    if all(map(is_, inputs, node.inputs)):
        return node
    return Node(node.op, inputs, node.type, node.name, node)


def _is_same(a: Node, b: Node) -> bool:
    """Return whether nodes of one key agree in the type and the sign of attributes that are 0."""
    is_same = a.type is b.type or a.type == b.type
    return is_same and (a.op is b.op or repr(a.op) == repr(b.op))


_new_rewriting = tuple.__new__  # twice as fast as calling the class
_LEAF: Form = (type(None), False)


class RewriteWalk:
    """Rewrites nodes to their final form.

    Attributes
    ----------
    final : dict from Node to Node
        The final forms of all nodes visited so far.
    root : Node
        The node that stands for the one visited last and all those of equal value.
    context : Creation
        The one context in which all nodes are made: it changes from node to node.
    """

    def __init__(self, rules: RuleSet, record: Recorder | None) -> None:
        self.rules, self.record = rules, record
        self.final: dict[Node, Node] = {}
        self.root: Node | None = None
        self.context = Creation()
        self._first: dict[Any, Node] = {}
        self._met: set[type] = set()
        self._rules_at: dict[Form, tuple[AnyRule, ...]] = {_LEAF: ()}

    def over(self, graph: Graph) -> Graph:
        """Return a graph in its final form; its inputs are leaves."""
        final, visit = self.final, self._visit
        self.rules.meet(graph.kinds)
        with creating(self.context):
            for node in graph.nodes:
                final[node] = visit(node)
        outputs = [final[node] for node in graph.outputs]
        return Graph(outputs, graph.inputs, descend(graph, final))

    def _visit(self, node: Node, rewrites: int = 0) -> Node:
        """Return the final form of a node whose inputs have final forms, made by some rewrites.

        Operands of a commutative op count as equal in either order.  Sums of at least three terms
        are distinguished by their order, which affects rounding.
        """
        final, op, inputs = self.final, node.op, node.inputs
        key: Any
        if op is None:
            root, form, key = node, _LEAF, node
            if isinstance(node, Constant) and node.value.nbytes <= _COMPARED_BYTES:
                key = node.type, node.value.tobytes()
        elif len(inputs) == 2:  # most nodes of large graphs
            a, b = inputs
            x, y = final[a], final[b]
            root = node if x is a and y is b else Node(op, (x, y), node.type, node.name, node)
            form = type(op), x is y, type(x.op or x), type(y.op or y)
            swaps = id(x) > id(y) and op.commutative and not op.order_shows
            key = (op, y, x) if swaps else (op, x, y)
        elif len(inputs) == 1:
            (a,) = inputs
            x = final[a]
            root = node if x is a else Node(op, (x,), node.type, node.name, node)
            form, key = (type(op), False, type(x.op or x)), (op, x)
        else:
            new = tuple([final[source] for source in inputs])
            root = node if all(map(is_, new, inputs)) else Node(op, new, node.type, node.name, node)
            form, key = (type(op), False, *map(head, new[:LOOKED_AT])), (op, *new)
        same = self._first.setdefault(key, root)
        if same is not root and _is_same(same, root):
            if self.record is not None and not rewrites:
                self.record(_new_rewriting(Rewriting, (SHARE, root, same)))
            self.root = same
            return final[same]
        final[root] = root
        rules = self._rules_at.get(form)
        if rules is None:
            rules = self._rules_for(root, form)
        found = self._replace(root, rules, rewrites) if rules else root
        self.root = root
        return found

    def _replace(self, root: Node, rules: Iterable[AnyRule], rewrites: int) -> Node:
        """Return the final form of a node after the first rule that applies to it, if any does."""
        final, context = self.final, self.context
        context.scope, context.site, context.role = root.scope, root.site, root.role
        for rule in rules if rewrites < _MOST_REWRITES else ():
            new = rule.apply(root)
            if new is not None and new is not root:
                break
        else:
            return root
        if self.record is not None:
            self.record(_new_rewriting(Rewriting, (rule, root, new)))
        if new not in final:
            is_last = all(map(final.__contains__, new.inputs))
            for node in (new,) if is_last else topological_order([new], stop=final):
                if node not in final:
                    final[node] = self._visit(node, rewrites + 1)
        found = final[root] = final[new]
        return found

    def _rules_for(self, node: Node, form: Form) -> tuple[AnyRule, ...]:
        """Return the rules to try at a node: those whose ops have all been met."""
        if form[0] not in self._met:
            self._met.add(form[0])
            self._rules_at = {_LEAF: ()}
            self.rules.meet(frozenset(self._met))
        if Constant in form:
            form = *form, self.rules.numbers_in(node)
        found = self._rules_at.get(form)
        if found is None:
            found = tuple([r for r in self.rules.of(form) if r.needs <= self._met])
            self._rules_at[form] = found
        return found
