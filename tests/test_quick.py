"""What ``--quick`` takes of the tests, and that a test that does not end fails by its name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from symad.graph.op import OP_CLASSES
from tests.conftest import PER_FUNCTION, sample, spread
from tests.support.op_checks import cases_of

pytest_plugins = ["pytester"]


class Hashed(SimpleNamespace):
    __hash__ = object.__hash__


def test_a_sample_is_spread() -> None:
    assert spread(range(10), 3) == [0, 4, 9] and spread(range(2), 3) == [0, 1]
    assert spread(range(4), 3) == [0, 2, 3]


def sampled(*parameters: Any) -> list[Any]:
    tests = [
        Hashed(
            nodeid=f"tests/a.py::test[{place}]",
            callspec=SimpleNamespace(params={"p": value}),
            get_closest_marker=lambda name, value=value: True if value == name else None,
        )
        for place, value in enumerate(parameters)
    ]
    kept = sample(tests)  # type: ignore[arg-type]
    return [test.callspec.params["p"] for test in tests if test in kept]


def test_one_dtype_is_taken_where_float64_is_among_them() -> None:
    assert sampled("float32", "float64") == ["float64"]
    assert sampled("int8", "float32") == ["int8", "float32"]


def test_slow_tests_are_left_out() -> None:
    assert sampled("a", "slow", "b") == ["a", "b"]


def test_each_family_of_ops_is_taken() -> None:
    names = ("sin", "cos", "tan", "exp", "matmul")
    cases = [case for name in names for case in cases_of(OP_CLASSES[name])]
    taken = sampled(*cases)
    modules = [case.op_class.__module__ for case in taken]
    assert set(modules) == {case.op_class.__module__ for case in cases}
    assert max(map(modules.count, modules)) == PER_FUNCTION


def test_a_test_that_hangs_fails_by_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="import time\ndef test_hangs():\n    time.sleep(60)\ndef test_next():\n    pass\n"
    )
    result = pytester.runpytest_subprocess("-o", "timeout=0.5", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_hangs*"])


def test_a_test_that_computes_for_ever_fails_by_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="def test_power(n=9):\n    n**n**n\ndef test_next():\n    pass\n"
    )
    result = pytester.runpytest_subprocess(
        "-p", "tests.support.time_limit", "--processor-seconds", "0.5", "-p", "no:cacheprovider"
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*test_power has computed for 0.5 seconds*"])
