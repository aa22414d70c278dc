"""Linear algebra that fails: an op that may fail says so, and its failure is an error wherever an
output depends on the result, but not where a choice discards it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError
from symad.graph.node import Node, apply
from symad.graph.op import OP_CLASSES, Op
from symad.ops.body import results_of
from symad.ops.matrices import NanOnFailure
from tests.support.op_checks import build, cases_of, kernel_of, run

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of SciPy, for such matrices

SPOILED = (0.0, -1.0, np.nan, np.inf)
"""A matrix of zeros has no inverse, one of -1 no root, and one of NaN nothing at all."""


def failures_of(op_class: type[Op]) -> Iterator[tuple[Op, list[Any]]]:
    """Yield ops of a class with matrices for which their kernels raise an error."""
    for case in cases_of(op_class):
        built = build(case)
        for node in built.nodes:
            if type(node.op) is op_class:
                inputs = run(built.inputs, list(node.inputs), built.arrays)
                yield from ((node.op, bad) for bad in _spoiled(inputs) if _fails(node.op, bad))


def _spoiled(inputs: list[Any]) -> Iterator[list[Any]]:
    matrices = [isinstance(x, np.ndarray) and x.ndim > 1 and x.dtype.kind == "f" for x in inputs]
    for number in SPOILED if any(matrices) else ():
        pairs = zip(inputs, matrices, strict=True)
        yield [np.full_like(x, number) if is_matrix else x for x, is_matrix in pairs]


def _fails(op: Op, inputs: list[Any]) -> bool:
    try:
        with np.errstate(all="ignore"):
            kernel_of(op)(*inputs)
    except np.linalg.LinAlgError:
        return True
    return False


def test_ops_that_fail_say_so() -> None:
    ops = [kind for kind in OP_CLASSES.values() if kind.__module__.startswith("symad.ops.")]
    failing = [kind for kind in ops if any(failures_of(kind))]
    assert [kind.name for kind in failing if not kind.may_fail] == []
    assert {kind.name for kind in failing} >= {"inv", "cholesky", "eigh", "svd", "cofactors"}


Use = Callable[[Node, Node], Node]
ROWS = np.arange(2.0)

EXPOSED: dict[str, Use] = {
    "a function of it": lambda r, c: 2 * sm.exp(r) + 1,
    "a condition": lambda r, c: sm.where(r > 0, 1.0, 2.0),
    "a choice beside it": lambda r, c: sm.where(c, r, 1.0) + r,
    "a loop": lambda r, c: sm.scan(lambda s, x: (s + x * r, None), sm.constant(0.0), ROWS)[0],
    "a choice in a loop, and its step": lambda r, c: sm.scan(
        lambda s, x: (s + sm.where((s < 5) & c, r, x) + r, None), sm.constant(0.0), ROWS
    )[0],
}  # fmt: skip
CHOSEN: dict[str, Use] = {
    "a choice": lambda r, c: sm.where(c, r, 1.0),
    "a function in a choice": lambda r, c: sm.where(c, 2 * sm.exp(r) + 1, 1.0) + 1,
    "a choice after a loop": lambda r, c: sm.where(
        c, sm.scan(lambda s, x: (s + x * r, None), sm.constant(0.0), ROWS)[0], 1.0
    ),
    "a choice in a loop, by what it carries": lambda r, c: sm.scan(
        lambda s, x: (s + sm.where((s < 5) & c, r, x), None), sm.constant(0.0), ROWS
    )[0],
}  # fmt: skip


HARDLY_FAIL = {"qr", "orthogonal_complement", "lu", "sqrtm", "solve_sylvester"}
"""None of these matrices is an error for them."""
MADE_LATER = "solve_factored", "inverse_factored"
"""No graph has them when failures are allowed."""
MAY_FAIL = [name for name, kind in OP_CLASSES.items() if kind.may_fail and name not in MADE_LATER]


@pytest.mark.parametrize("name", MAY_FAIL)
def test_a_failure_is_an_error_unless_a_choice_discards_it(name: str) -> None:
    op, arrays = next(failures_of(OP_CLASSES[name]), (None, ()))
    if op is None:
        assert name in HARDLY_FAIL
        return
    variables = [sm.Variable(f"x{k}", np.shape(x), x.dtype) for k, x in enumerate(arrays)]
    condition = sm.Variable("c", (), "bool")
    result = apply(op, *variables)
    total = sm.sum(next(item for item in results_of(result) if item.type.is_float))
    for use in EXPOSED.values():
        y = sm.compile([*variables, condition], use(total, condition), backend="numpy")
        with pytest.raises(EvaluationError, match=name):
            y(*arrays, False)
    for use in CHOSEN.values():
        y = sm.compile([*variables, condition], use(total, condition), backend="numpy")
        assert np.isfinite(y(*arrays, False))
        assert np.isnan(y(*arrays, True))


@pytest.mark.parametrize("name", [*MAY_FAIL, *MADE_LATER])
def test_one_matrix_of_a_stack_fails(name: str) -> None:
    """The others keep their results, also where an input holds a vector for each matrix."""
    for case in cases_of(OP_CLASSES[name]):
        built = build(case)
        (node, *_) = [node for node in built.nodes if type(node.op) is OP_CLASSES[name]]
        assert node.op is not None
        good = run(built.inputs, list(node.inputs), built.arrays)
        bad = next((x for x in _spoiled(good) if _fails(node.op, x)), None)
        ranks = {np.ndim(x) for k, x in enumerate(good) if k not in node.op.vectors}
        if bad is None or len(ranks) > 1 or min(ranks) < 2:
            continue  # with one more axis, they would not fit together, or vectors be matrices
        arrays = [np.stack(pair) for pair in zip(good, bad, good, strict=True)]
        variables = [sm.Variable(f"x{k}", x.shape, x.dtype) for k, x in enumerate(arrays)]
        results = results_of(apply(NanOnFailure(node.op), *variables))
        wanted: Any = kernel_of(node.op)(*good)
        wanted = wanted if isinstance(wanted, tuple) else [wanted]
        exposed = sm.compile(variables, results_of(apply(node.op, *variables)), backend="native")
        with pytest.raises(EvaluationError, match="failed: LinAlgError"):
            exposed(*arrays)
        for backend in ("numpy", "native"):
            made = sm.compile(variables, results, backend=backend)(*arrays)
            for got, want in zip(made, wanted, strict=True):
                assert got.dtype.kind != "f" or np.isnan(got[1]).any()
                for row in got[::2]:
                    np.testing.assert_allclose(row, want, rtol=1e-5, atol=1e-5)
