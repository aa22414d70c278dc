"""SciPy's import without the parts of NumPy that it does not use."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import sys
import numpy as np
from symad.light_scipy import scipy_module

sparse = scipy_module("scipy.sparse")
assert "numpy.f2py" not in sys.modules and "numpy.testing" not in sys.modules
copied = sys.modules["scipy._lib.array_api_compat.numpy"]
for name in ("f2py", "testing", "ma", "polynomial"):
    assert name not in vars(np) or vars(np)[name] is sys.modules[f"numpy.{name}"]
assert copied.ma.MaskedArray is np.ma.MaskedArray and copied.testing.suppress_warnings
import numpy.testing.overrides
from numpy.polynomial import Polynomial
assert np.polynomial is sys.modules["numpy.polynomial"] and np.polynomial.Polynomial is Polynomial
assert scipy_module("scipy.sparse") is sparse and (sparse.eye_array(2) @ np.ones(2)).sum() == 2
"""


def test_scipy_is_imported_without_unused_parts_of_numpy() -> None:
    subprocess.run([sys.executable, "-c", _SCRIPT], check=True)
