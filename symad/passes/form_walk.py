"""The walk that finds stable forms by the rewrite rules; see :mod:`symad.passes.forms`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from symad.graph.node import Node
from symad.graph.op import Op
from symad.graph.provenance import Creation, Role, RoleKind, creating, isolated
from symad.graph.traverse import topological_order
from symad.passes.rewrite import RewriteWalk, Rewriting, RuleSet
from symad.passes.rule import AnyRule


def forms_of(order: Sequence[Node], targets: set[Node], generation: int) -> dict[Node, Node]:
    """Return the stable forms of those nodes of ``order`` that have one."""
    rules = _rules_for(frozenset({type(node.op) for node in order if node.op is not None}))
    return {} if rules is None else _Forms(rules, generation).of(order, targets)


@lru_cache(maxsize=256)
def _rules_for(ops: frozenset[type[Op]]) -> RuleSet | None:
    """Return the rules that can apply to a graph of such ops; ``None`` if none of them mends."""
    from symad.passes.rules import rules_of_forms

    left, found, known = list(rules_of_forms()), [], set(ops)
    while new := [rule for rule in left if rule.named <= known and rule.needs <= known]:
        taken = set(map(id, new))
        left = [rule for rule in left if id(rule) not in taken]
        found += new
        known.update(*[rule.makes for rule in new])
    if not any(rule.mends for rule in found):
        return None
    others = set(map(id, left))
    return RuleSet(rule for rule in rules_of_forms() if id(rule) not in others)


class _Forms(RewriteWalk):
    """Finds the stable forms of nodes."""

    def __init__(self, rules: RuleSet, generation: int) -> None:
        super().__init__(rules, self._see)
        self._generation = generation
        self._mended = False
        self._roots: set[Node] = set()
        self._original: dict[Node, Node] = {}  # from a final form to the first node that has it

    def _see(self, rewriting: Rewriting) -> None:
        self._mended |= rewriting.rule.mends

    @isolated
    def of(self, order: Sequence[Node], targets: set[Node]) -> dict[Node, Node]:
        """Return the forms of those nodes of ``order`` that have one."""
        with creating(self.context):
            return self._of(order, targets)

    def _of(self, order: Sequence[Node], targets: set[Node]) -> dict[Node, Node]:
        forms: dict[Node, Node] = {}
        for node in order:
            if node in targets:  # also a constant is unknown to rules here
                final = self.final[node] = Node(None, (), node.type, node.label, node)
            else:
                final = self.final[node] = self._visit(node)
                if self.root in self._roots:
                    role = Role(RoleKind.LOCAL, self._generation, node)
                    with creating(Creation(node.scope, node.site, role)):
                        forms[node] = self._of_originals(final)
            self._original.setdefault(final, node)
        return forms

    def _replace(self, root: Node, rules: Iterable[AnyRule], rewrites: int) -> Node:
        if not rewrites:
            self._mended = False
        final = super()._replace(root, rules, rewrites)
        if self._mended and not rewrites:
            self._roots.add(root)
        return final

    def _of_originals(self, final: Node) -> Node:
        """Return a final form on the nodes of the graph that have its parts."""
        made: dict[Node, Node] = {}
        for node in topological_order([final], stop=self._original):
            known = self._original.get(node)
            if known is None and node.op is not None:
                sources = tuple([made[source] for source in node.inputs])
                known = Node(node.op, sources, node.type, node.name)
            made[node] = node if known is None else known
        return made[final]
