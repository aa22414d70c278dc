"""The constants of the Array API standard, as Python floats."""

from __future__ import annotations

import math

e, pi, inf, nan = math.e, math.pi, math.inf, math.nan
newaxis = None
