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
from symad.graph.provenance import creating
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
"""What :meth:`RuleSet.form_of` returns."""


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

    def form_of(self, node: Node) -> Form:
        """Return what the rules to try at a node depend on.

        That is the class of its op, whether its two inputs are the same, the classes of the first
        inputs, and the numbers of rules among constant inputs.
        """
        inputs = node.inputs
        if len(inputs) == 2:  # most nodes of large graphs
            a, b = inputs
            heads: tuple[type, ...] = (type(a.op or a), type(b.op or b))
            form: Form = (type(node.op), a is b, heads)
        else:
            heads = tuple(map(head, inputs[:LOOKED_AT]))
            form = (type(node.op), False, heads)
        if Constant in heads:
            values = [x.value.item() for x in inputs if type(x) is Constant and not x.value.ndim]
            form += tuple([value for value in values if value in self._index.numbers])
        return form

    def of(self, form: Form) -> tuple[AnyRule, ...]:
        """Return the rules that may match nodes of a form."""
        index = self._index
        found = index.of_form.get(form)
        if found is None:
            kind, is_twice, heads, *numbers = form
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
            with creating(node):
                leaves[node] = Node(None, (), node.type, node.label)
    return rebuild(graph, with_inputs, leaves) if leaves else graph


def with_inputs(node: Node, inputs: tuple[Node, ...]) -> Node:
    """Return a new node like ``node`` with other inputs of the same types."""
    if all(map(is_, inputs, node.inputs)):
        return node
    return Node(node.op, inputs, node.type, node.name, node)


class _Interner:
    """Finds an earlier node with the same op on the same inputs.

    Operands of a commutative op count as equal in either order.  Sums of at least three terms are
    distinguished by their order, which affects rounding.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Node] = {}

    def intern(self, node: Node) -> Node:
        """Return the first node that equals ``node``, whose inputs must be interned."""
        op, inputs = node.op, node.inputs
        if op is not None:
            key: Any = (op, *inputs)
            if len(inputs) == 2 and op.commutative and not op.order_shows:
                first, second = inputs
                if id(first) > id(second):
                    key = (op, second, first)
        elif isinstance(node, Constant) and node.value.nbytes <= _COMPARED_BYTES:
            key = (node.type, node.value.tobytes())
        else:
            return node
        known = self._known.setdefault(key, node)
        if known is node:
            return node
        is_same = known.type is node.type or known.type == node.type
        return known if is_same and _is_same_op(known.op, op) else node


def _is_same_op(a: Op | None, b: Op | None) -> bool:
    """Return whether equal ops also agree in the sign of attributes that are 0."""
    return a is b or repr(a) == repr(b)


class RewriteWalk:
    """Rewrites nodes to their final form; :attr:`final` has that of all nodes visited so far."""

    def __init__(self, rules: RuleSet, record: Recorder | None) -> None:
        self.rules, self.record = rules, record
        self.final: dict[Node, Node] = {}
        self.interner = _Interner()
        self._met: set[type] = set()
        self._rules_at: dict[Form, tuple[AnyRule, ...]] = {}

    def over(self, graph: Graph) -> Graph:
        """Return a graph in its final form; its inputs are leaves."""
        final, visit = self.final, self._visit
        self.rules.meet(graph.kinds)
        for node in graph.nodes:
            if node.op is not None:
                final[node] = visit(node)
                continue
            final[node] = self.interner.intern(node)
            if final[node] is not node and self.record is not None:
                self.record(Rewriting(SHARE, node, final[node]))
        outputs = [final[node] for node in graph.outputs]
        return Graph(outputs, graph.inputs, descend(graph, final))

    def _visit(self, node: Node) -> Node:
        """Return the final form of a node whose inputs have final forms."""
        final = self.final
        root = self._with_final_inputs(node)
        same = self.interner.intern(root)
        if same is not root:
            if self.record is not None:
                self.record(Rewriting(SHARE, root, same))
            return final[same]
        rules = self._rules_for(root)
        new = self._apply(rules, root) if rules else None
        if new is None:
            final[root] = root
            return root
        if new in final:
            final[root] = final[new]
        else:
            self._settle(root, new)
        return final[root]

    def _settle(self, root: Node, new: Node) -> None:
        """Find the final form of a node to which a rule has been applied."""
        final = self.final
        follows = {root: new}  # in the end, a key has the final form of its value
        rewrites = {root: 0, new: 1}  # how many rewrites led to a node
        stack = [root, new]
        while stack:
            top = stack[-1]
            if top in final:
                stack.pop()
            elif top in follows:
                final[top] = final[follows[top]]
            elif missing := [source for source in top.inputs if source not in final]:
                for source in missing:
                    rewrites.setdefault(source, rewrites[top])
                    if source in follows:  # cyclic rules: the node stays as it is
                        final[source] = source
                stack += missing
            else:
                new, steps = self._advance(top, rewrites[top])
                if new is top or new in follows:
                    final[top] = new
                else:
                    follows[top] = new
                    rewrites.setdefault(new, rewrites[top] + steps)
                    stack.append(new)

    def _advance(self, node: Node, rewrites: int) -> tuple[Node, int]:
        """Share a node whose inputs are final, or apply one rule; return how many were applied."""
        same = self.interner.intern(self._with_final_inputs(node))
        if same is not node or node.op is None or rewrites >= _MOST_REWRITES:
            return same, 0
        rules = self._rules_for(node)
        new = self._apply(rules, node) if rules else None
        return (node, 0) if new is None else (new, 1)

    def _with_final_inputs(self, node: Node) -> Node:
        final, inputs = self.final, node.inputs
        new: tuple[Node, ...]
        if len(inputs) == 2:  # most nodes of large graphs
            a, b = inputs
            new = first, second = final[a], final[b]
            if first is a and second is b:
                return node
        else:
            new = tuple([final[source] for source in inputs])
            if all(map(is_, new, inputs)):
                return node
        return Node(node.op, new, node.type, node.name, node)

    def _apply(self, rules: Iterable[AnyRule], node: Node) -> Node | None:
        """Return the result of the first rule that applies to a node, ``None`` if none does."""
        with creating(node):
            for rule in rules:
                new = rule.apply(node)
                if new is not None and new is not node:
                    if self.record is not None:
                        self.record(Rewriting(rule, node, new))
                    return new
        return None

    def _rules_for(self, node: Node) -> tuple[AnyRule, ...]:
        """Return the rules to try at a node: those whose ops have all been met."""
        form = self.rules.form_of(node)
        found = self._rules_at.get(form)
        if found is None:
            if form[0] not in self._met:
                self._met.add(form[0])
                self._rules_at.clear()
                self.rules.meet(frozenset(self._met))
                form = self.rules.form_of(node)  # with the numbers of the rules that were met
            found = tuple([r for r in self.rules.of(form) if r.needs <= self._met])
            self._rules_at[form] = found
        return found
