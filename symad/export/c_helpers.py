"""Functions that exported C calls besides those of C99: each file has those that it needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.export.c_text import MEMORY_TYPES, memory_type

_BY_TYPE = {
    "quotient": """\
/* x / y without its fraction; wraps around, and is 0 where y is 0. */
static {type} quotient_{name}({type} x, {type} y) {{
  if (y == 0) return 0;
  return y == -1 ? ({type})(0 - ({unsigned})x) : ({type})(x / y);
}}
""",
    "rounded": """\
/* The integer towards 0; of numbers out of range the nearest integer, of NaN 0. */
static {type} rounded_{name}(double x) {{
  if (!(x >= {least})) return x != x ? 0 : {minimum};
  return x >= {above} ? {maximum} : ({type})x;
}}
""",
}

_SORTER = """\
/* The positions that sort x: runs of 1, 2, 4, ... are merged, from one of two rows to the other. */
static const int64_t *{name}(int64_t n, const {type} *x, int64_t *from, int64_t *to) {{
  for (int64_t k = 0; k < n; k++) from[k] = k;
  for (int64_t run = 1; run < n; run *= 2) {{
    int64_t *const made = to;
    for (int64_t start = 0; start < n; start += 2 * run) {{
      const int64_t middle = start + run < n ? start + run : n;
      const int64_t end = middle + run < n ? middle + run : n;
      int64_t i = start, j = middle;
      for (int64_t k = start; k < end; k++) {{
        int second = i == middle;
        if (!second && j < end) {{
          const int64_t a = from[i], b = from[j];
          second = {later};
        }}
        to[k] = second ? from[j++] : from[i++];
      }}
    }}
    to = from;
    from = made;
  }}
  return from;
}}
"""

_FUNCTIONS = {
    "fail": """\
static int fail(const char **message, const char *text) {
  if (message) *message = text;
  return 1;
}
""",
    "half_value": """\
/* The number with the bits of a float16. */
static float half_value(uint16_t bits) {
  const uint32_t rest = bits & 0x7fffu, wide = (rest << 13) + (112u << 23);
  float x = rest == 0x7c00u ? INFINITY : NAN;
  if (rest < 0x400u) x = (float)rest * 0x1p-24f;
  else if (rest < 0x7c00u) memcpy(&x, &wide, sizeof x);
  return bits & 0x8000u ? -x : x;
}
""",
    "half_bits": """\
/* The bits of the float16 next to a number; of two, of the even one. */
static uint16_t half_bits(double x) {
  const double size = fabs(x);
  uint64_t bits, rest;
  uint32_t found = 0x7c00u;
  memcpy(&bits, &x, sizeof x);
  rest = (bits << 1 >> 1) - (UINT64_C(1008) << 52);
  if (x != x) found = 0x7e00u;
  else if (size < 0x1p-14) found = (uint32_t)rint(size * 0x1p24);
  else if (size < 65520) found = (uint32_t)((rest + 0x1ffffffffff + (rest >> 42 & 1)) >> 42);
  return (uint16_t)(found | (uint32_t)(bits >> 48 & 0x8000u));
}
""",
    "half": """\
/* A number rounded to float16. */
static float half(double x) {
  return half_value(half_bits(x));
}
""",
    "add_exactly": """\
/* Add v to a sum, and the rounding error to the rest (Neumaier). */
static void add_exactly(double *total, double *rest, double v) {
  const double sum = *total + v;
  *rest += fabs(v) <= fabs(*total) ? (*total - sum) + v : (v - sum) + *total;
  *total = sum;
}

/* The sum; if it is infinite, the rest is NaN or infinite. */
static double with_rest(double total, double rest) {
  return fabs(rest) < INFINITY ? total + rest : total;
}
""",
    "digamma": """\
/* The derivative of the logarithm of the gamma function: reflected below 0, raised by its
   recurrence to 10, and there by its asymptotic series. */
static double digamma(double x) {
  static const double series[] = {-1. / 12, 1. / 120, -1. / 252, 1. / 240, -1. / 132,
                                  691. / 32760, -1. / 12, 3617. / 8160};
  const double pi = 3.141592653589793;
  double sum = 0, tail = 0;
  int k;
  if (x == 0) return copysign(INFINITY, -x);
  if (x < 0) {
    const double part = x - floor(x);
    return part == 0 ? NAN : digamma(1 - x) - pi / tan(pi * part);
  }
  for (; x < 10; x++) sum -= 1 / x;
  for (k = 7; k >= 0; k--) tail = (tail + series[k]) / (x * x);
  return sum + (log(x) - 0.5 / x + tail);
}
""",
}


_ELEMENTS = {
    "gamma": ("double x", "return tgamma(x);"),
    "rgamma": ("double x", "return x <= 0 && x == floor(x) ? 0 : 1 / tgamma(x);"),
    "gammasgn": (
        "double x",
        """if (x != x || x > 0) return x != x ? NAN : 1;
  if (x == 0) return copysign(1, x);
  if (x == floor(x)) return NAN;
  return fmod(floor(x), 2) == 0 ? 1 : -1;""",
    ),
    "boxcox": ("double x, double p", "return p == 0 ? log(x) : expm1(p * log(x)) / p;"),
    "boxcox1p": ("double x, double p", "return p == 0 ? log1p(x) : expm1(p * log1p(x)) / p;"),
    "inv_boxcox": ("double y, double p", "return p == 0 ? exp(y) : exp(log1p(p * y) / p);"),
    "exprel": (
        "double x", "return x == 0 ? 1 : x == INFINITY ? INFINITY : expm1(x) / x;"
    ),
    "log_ratio": (
        "double x, double y",
        """const double q = x / y;
  if (fabs(q - 0.75) < 0.5) return log1p((x - y) / y);
  return q > 0 && q < INFINITY ? log(q) : log(x) - log(y);""",
    ),
    "rel_entr": (
        "double x, double y",
        """if (x != x || y != y) return NAN;
  return x > 0 && y > 0 ? x * log(x / y) : x == 0 && y >= 0 ? 0 : INFINITY;""",
    ),
    "kl_div": (
        "double x, double y",
        """if (x != x || y != y) return NAN;
  return x > 0 && y > 0 ? x * log(x / y) - x + y : x == 0 && y >= 0 ? y : INFINITY;""",
    ),
}
"""Functions for ops whose elements no builder makes: their parameters and bodies."""
EXTRA = frozenset({*_ELEMENTS, "nextafter"})
"""The ops whose elements are functions of their names."""


class CHelpers:
    """The helpers that one file needs, in the order in which they are defined."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def texts(self) -> list[str]:
        """Return the definitions."""
        return list(self._texts.values())

    def function(self, name: str) -> str | None:
        """Return the name of a function, ``None`` if there is none."""
        if name in _ELEMENTS:
            parameters, body = _ELEMENTS[name]
            text = f"static double {name}_({parameters}) {{\n  {body}\n}}\n"
            return self.define(f"{name}_", text)
        if name in _FUNCTIONS:
            if name == "half":
                self.function("half_value"), self.function("half_bits")
            self._texts.setdefault(name, _FUNCTIONS[name])
            return name
        return None

    def define(self, name: str, text: str) -> str:
        """Return the name of a function with this definition."""
        self._texts.setdefault(name, text)
        return name

    def sorter(self, dtype: np.dtype[Any], descending: bool) -> str:
        """Return the name of a function that sorts positions by values, in the order given."""
        name = f"sorted_{dtype.name}{'_down' if descending else ''}"
        later = "x[b] > x[a]" if descending else "x[b] < x[a]"
        if dtype.kind == "f":  # NaN counts as the largest
            nan, number = ("b", "a") if descending else ("a", "b")
            later += f" || (x[{nan}] != x[{nan}] && x[{number}] == x[{number}])"
        facts = {"type": memory_type(dtype), "name": name, "later": later}
        return self.define(name, _SORTER.format(**facts))

    def of_type(self, kind: str, dtype: np.dtype[Any]) -> str:
        """Return the name of a function of one of the integer dtypes."""
        name, bits = dtype.name, 8 * dtype.itemsize
        low = np.iinfo(dtype).min < 0
        facts = {
            "type": MEMORY_TYPES[name], "name": name,
            "unsigned": "uint64_t" if bits == 64 else "uint32_t",
            "least": f"-{2.0 ** (bits - 1):.1f}" if low else "0.0",
            "above": f"{2.0 ** (bits - 1 if low else bits):.1f}",
            "minimum": f"INT{bits}_MIN" if low else "0",
            "maximum": f"{'' if low else 'U'}INT{bits}_MAX",
        }  # fmt: skip
        return self.define(f"{kind}_{name}", _BY_TYPE[kind].format(**facts))
