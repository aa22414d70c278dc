"""Functions that are composed for ONNX Runtime are accurate, also at their edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import symad as sm
from symad.export.onnx_elements import KERNELS, OF_SINGLES
from symad.export.onnx_file import lowered, onnx_model
from symad.export.onnx_table import FORMULAS
from tests.support.onnx_sessions import outputs_of, session_of

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

EDGES = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e300, -1e300, 1e-300, 30.0, -30.0]
)
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], float, float, float]] = {
    "tan": (np.tan, -9, 9, 1e-12),
    "asin": (np.arcsin, -1, 1, 1e-15),
    "acos": (np.arccos, -1, 1, 1e-15),
    "atan": (np.arctan, -9, 9, 1e-15),
    "sinh": (np.sinh, -9, 9, 1e-15),
    "cosh": (np.cosh, -9, 9, 1e-15),
    "asinh": (np.arcsinh, -9, 9, 1e-15),
    "acosh": (np.arccosh, 1, 9, 1e-15),
    "atanh": (np.arctanh, -1, 1, 1e-15),
    "cbrt": (np.cbrt, -9, 9, 1e-15),
    "exp2": (np.exp2, -9, 9, 1e-15),
    "expm1": (np.expm1, -9, 9, 1e-15),
    "log1p": (np.log1p, -1, 9, 1e-15),
    "log2": (np.log2, 0, 9, 1e-15),
    "log10": (np.log10, 0, 9, 1e-15),
    "erf": (special.erf, -5, 5, 1e-15),
    "erfc": (special.erfc, -5, 9, 1e-14),
    "special.erfcx": (special.erfcx, -9, 30, 1e-14),
    "special.log_ndtr": (special.log_ndtr, -30, 5, 1e-14),
    "erfinv": (special.erfinv, -1, 1, 2e-15),
    "special.ndtri": (special.ndtri, 0, 1, 1e-14),
    "special.gamma": (special.gamma, -9, 30, 1e-12),
    "digamma": (special.digamma, 0.01, 30, 1e-13),
    "gammaln": (special.gammaln, 2.1, 90, 1e-13),
}
"""Reference, where it is compared, and the relative error that is allowed there."""


def function_of(name: str) -> Any:
    module, _, last = name.rpartition(".")
    return getattr(sm.special if module else sm, last)


@pytest.fixture(scope="module")
def computed() -> Callable[[str, Any], Any]:
    """Return what ONNX Runtime gives for a function, from one session for all."""
    x = sm.Variable("x", shape=("n",))
    f = sm.compile([x], {name: function_of(name)(x) for name in FUNCTIONS}, rewrites="exact")
    session = session_of(onnx_model(f, lowered(f)))

    def run(name: str, values: Any) -> Any:
        return session.run([name], {"x": values})[0]

    return run


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_digits_are_right(computed: Callable[[str, Any], Any], name: str) -> None:
    reference, low, high, rtol = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    values = rng.uniform(low, high, 2000)
    near = [values * scale for scale in (1e-3, 1e-8)] if low < 0 < high else []
    if (low, high) == (-1, 1):
        near.append(1 - 10.0 ** -rng.uniform(1, 12, 200))
    values = np.concatenate([values, *near])
    found, wanted = computed(name, values), reference(values)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-15 * (name == "digamma"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_edges(computed: Callable[[str, Any], Any], name: str) -> None:
    """Infinities and NaN are where they should be."""
    with np.errstate(all="ignore"):
        wanted = FUNCTIONS[name][0](EDGES)
    np.testing.assert_allclose(computed(name, EDGES), wanted, rtol=1e-12)


def test_pairs() -> None:
    x, y = sm.Variable("x", shape=("n",)), sm.Variable("y", shape=("n",))
    pairs = {"atan2": np.arctan2, "hypot": np.hypot, "copysign": np.copysign, "fmod": np.fmod}
    f = sm.compile([x, y], {name: getattr(sm, name)(x, y) for name in pairs}, rewrites="exact")
    first, second = (each.ravel() for each in np.meshgrid(EDGES, EDGES))
    found = outputs_of(session_of(onnx_model(f, lowered(f))), {"x": first, "y": second})
    with np.errstate(all="ignore"):
        for name, reference in pairs.items():
            wanted = reference(first, second)
            np.testing.assert_allclose(found[name], wanted, rtol=1e-14, err_msg=name)
            if name == "copysign":
                signs = np.where(np.isnan(first), 0, [np.signbit(found[name]), np.signbit(wanted)])
                np.testing.assert_array_equal(*signs)


def test_formulas_stand_in_for_kernels_that_are_missing() -> None:
    assert not KERNELS.keys() & FORMULAS.keys() and not KERNELS.keys() & OF_SINGLES.keys()
    assert OF_SINGLES.keys() <= FORMULAS.keys()
