"""What is saved comes back: the same graphs, results, pictures and bytes.

``SYMAD_SAVED_GRAPHS`` sets how many random graphs are tried (the long run takes 1000), and
``SYMAD_SAVED_GRAPH`` the first seed.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from scipy.sparse import issparse

import symad as sm
from symad.errors import SavedGraphError
from symad.graph.graph import verify
from symad.graph.nested import leaves
from tests.ops.test_op_table import CASES, OPS
from tests.support import op_checks as checks
from tests.support.saved import round_trip, saved
from tests.support.wild_graphs import wild_graph

GRAPHS = int(os.environ.get("SYMAD_SAVED_GRAPHS", "60"))
FIRST_GRAPH = int(os.environ.get("SYMAD_SAVED_GRAPH", "0"))
RULE = "cannot be saved: attribute '(reverse|forward)_rule': a function"


def assert_same(expected: Any, found: Any) -> None:
    """Results are bitwise equal, in the same structure."""
    expected, found = list(leaves(expected)), list(leaves(found))
    assert len(expected) == len(found)
    for a, b in zip(expected, found, strict=True):
        assert type(a) is type(b)
        for x, y in zip(*map(parts_of, (a, b)), strict=True):
            assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())


def parts_of(value: Any) -> list[Any]:
    """Return the arrays that a result consists of."""
    if value is None:
        return []
    return [value.data, value.indices, value.indptr] if issparse(value) else [np.asarray(value)]


def runs_alike(graph: sm.Graph, again: sm.Graph, arrays: Any) -> None:
    """Both graphs give the same bits."""
    verify(again)
    assert str(again) == str(graph)
    results = [
        sm.compile(list(g.inputs), list(g.outputs), backend="numpy") for g in (graph, again)
    ]
    with np.errstate(all="ignore"):
        assert_same(*[f(*arrays) for f in results])


def has_rules(graph: sm.Graph) -> bool:
    ops = {node.op for node in graph.nodes if node.op is not None}
    bodies = [body for op in ops for body in getattr(op, "bodies", ())]
    return any(op.name == "call" for op in ops) or any(map(has_rules, bodies))


# The op table


@pytest.mark.parametrize("name", OPS)
def test_the_op_table(name: str) -> None:
    """Each op on its samples, with its derivatives, with sizes that are known, named or not."""
    for case in (case for case in CASES if case.op_class.name == name):
        if case.id == "call":  # its rule is Python code
            with pytest.raises(SavedGraphError, match=RULE):
                saved(sm.Graph(checks.build(case).outputs))
            continue
        static = checks.build(case)
        graph = sm.Graph(static.outputs, static.inputs)
        again = round_trip(graph)
        runs_alike(graph, again, static.arrays)
        for knowledge in ("unknown", checks.MIXED):
            if not checks._refuses(case, knowledge):
                built, found = (f(case, knowledge=knowledge) for f in (checks.build, checks.probe))
                more = [] if found is None else [*found.pulled, *found.pushed]
                round_trip([*built.outputs, *more], provenance=knowledge == "unknown")


# Random graphs


@pytest.mark.parametrize("seed", range(FIRST_GRAPH, FIRST_GRAPH + GRAPHS))
def test_wild_graphs(seed: int) -> None:
    wild = wild_graph(seed)
    try:
        again = round_trip(wild.graph)
    except SavedGraphError as error:
        assert "_rule'" in error.message and has_rules(wild.graph)
        return
    runs_alike(wild.graph, again, wild.arrays)
    bare = round_trip(wild.graph, provenance=False)
    assert sm.fingerprint(bare).meaning == sm.fingerprint(wild.graph).meaning
    if seed % 10 == 0:
        assert sm.draw(again).svg() == sm.draw(wild.graph).svg()
