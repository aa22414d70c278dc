"""The benchmark of single ops: all libraries give the same answers."""

from __future__ import annotations

import pytest

from benchmarks import machine, throughput


def test_names_are_different() -> None:
    assert len({case.name for case in throughput.CASES}) == len(throughput.CASES) >= 66


@pytest.mark.skipif(not machine.is_installed("jax"), reason="JAX is not installed")
@pytest.mark.parametrize("case", throughput.CASES[::6], ids=lambda case: case.name)
def test_answers_agree(case: throughput.Case) -> None:
    import jax

    with jax.enable_x64(True):
        found = throughput.functions(case)
        assert {"symad", "jax"} <= found.keys()
        throughput.check(found, case.name)
