"""Scalar functions that JavaScript lacks, or whose special values differ from those in C.

The coefficients were computed with 40 digits from the formulas given below them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

FUNCTIONS = {"copysign", "digamma", "erf", "erfc", "lgamma", "pow", "rint"}
"""The functions that ops may call, by their C names, plus digamma."""


def definitions(used: Iterable[str]) -> str:
    """Return the JavaScript of the functions in ``used``, and of those that they call."""
    needed: dict[str, None] = {}
    pending = list(used)
    while pending:
        name = pending.pop()
        needed[name] = None
        pending += [other for other in _CALLS[name] if other not in needed]
    return "\n".join(text for name, text in _LIBRARY.items() if name in needed)


def _array(coefficients: Sequence[float]) -> str:
    rows = [coefficients[i : i + 3] for i in range(0, len(coefficients), 3)]
    return "[\n    " + ",\n    ".join(", ".join(map(repr, row)) for row in rows) + ",\n  ]"


_SCALED_ERFC = (
    1.1775789345674017, -0.004590054580646478, -0.08424913336651792, 0.05920993999819189,
    -0.026658668435305753, 0.009074997670705265, -0.002413163540417608, 0.0004907758365258086,
    -6.916973302501207e-05, 4.13902798607301e-06, 7.74038306619849e-07, -2.1886401049234397e-07,
    1.076499946567091e-08, 4.521959811218287e-09, -7.754400208831351e-10, -6.318088340886684e-11,
    2.86879501093067e-11, 1.9455868545777347e-13, -9.65469674843344e-13, 3.25254814814874e-14,
    3.3478119482868056e-14, -1.864562880419313e-15, -1.2507950530688648e-15, 7.418235256624043e-17,
    5.068148904796111e-17, -2.237056659436e-18, -2.1873429443030182e-18,
)  # fmt: skip
"""Chebyshev series in t = (x - 3.75) / (x + 3.75) of (1 + 2x) e^(x²) erfc(x), x ≥ 0."""

_LOG_GAMMA = (
    0.3224670334241132, -0.0673523010531981, 0.020580808427784546,
    -0.007385551028673986, 0.0028905103307415234, -0.001192753911703261,
    0.0005096695247430425, -0.00022315475845357939, 9.945751278180853e-05,
    -4.492623673813314e-05, 2.050721277567069e-05, -9.439488275268397e-06,
    4.374866789907488e-06, -2.039215753801366e-06, 9.55141213040742e-07,
    -4.492469198764566e-07, 2.1207184805554665e-07, -1.0043224823968099e-07,
    4.7698101693639804e-08, -2.2711094608943164e-08, 1.0838659214896955e-08,
    -5.183475041970047e-09, 2.4836745438024785e-09, -1.1921401405860912e-09,
)  # fmt: skip
"""(-1)^k (ζ(k) - 1) / k for k = 2, 3, ..., of the power series of ln Γ(2 + z)."""

_STIRLING = (
    0.08333333333333333, -0.002777777777777778, 0.0007936507936507937, -0.0005952380952380953,
    0.0008417508417508417, -0.0019175269175269176, 0.00641025641025641, -0.029550653594771242,
)  # fmt: skip
"""B_2k / (2k (2k - 1)), of the asymptotic series of ln Γ (Abramowitz and Stegun, 6.1.41)."""

_STIRLING_DERIVATIVE = (
    0.08333333333333333, -0.008333333333333333, 0.003968253968253968, -0.004166666666666667,
    0.007575757575757576, -0.021092796092796094, 0.08333333333333333, -0.4432598039215686,
)  # fmt: skip
"""B_2k / 2k, of the asymptotic series of ψ (Abramowitz and Stegun, 6.3.18)."""

_LIBRARY: dict[str, str] = {
    "polynomial": """\
function polynomial(coefficients, x) {
  let sum = 0;
  for (let k = coefficients.length - 1; k >= 0; k--) sum = sum * x + coefficients[k];
  return sum;
}""",
    "copysign": """\
function copysign(x, y) {
  return y < 0 || 1 / y < 0 ? -Math.abs(x) : Math.abs(x);
}""",
    "rint": """\
function rint(x) {  // 2^52 + |x| has no bits left for a fraction
  const size = Math.abs(x);
  return size < 4503599627370496 ? copysign(size + 4503599627370496 - 4503599627370496, x) : x;
}""",
    "pow": """\
function pow(x, y) {  // 1 to any power is 1 in C, and so is -1 to an infinite one
  return x === 1 || (x === -1 && Math.abs(y) === 1 / 0) ? 1 : x ** y;
}""",
    "float16": """\
function float16(x) {  // 11 bits, at least 2^-24; the sum with 1.5 * 2^52 units rounds to a unit
  const size = Math.abs(x);
  if (!(size < 65520)) return x !== x ? x : copysign(1 / 0, x);
  const exponent = size < 2 ** -14 ? -14 : 17 - Math.clz32(Math.floor(size * 2 ** 14));
  const shift = 1.5 * 2 ** (42 + exponent);
  return copysign(size + shift - shift, x);
}""",
    "integerToFloat32": """\
function integerToFloat32(x) {  // a sticky bit in place of the last 11 makes Number(...) exact
  const high = x >> 11n;
  const exact = x === BigInt.asIntN(53, x) || high << 11n === x;
  return Math.fround(Number(exact ? x : (high | 1n) << 11n));
}""",
    "toInteger": """\
function toInteger(x, least, most) {
  return x >= most ? most : x <= least ? least : Math.trunc(x) || 0;
}""",
    "toBigInteger": """\
function toBigInteger(x, least, most) {
  return x >= Number(most) ? most : x <= Number(least) ? least : BigInt(Math.trunc(x) || 0);
}""",
    "expMinusSquare": """\
function expMinusSquare(x) {  // x = h + r, and h^2 is exact
  const h = Math.trunc(x * 16) / 16;
  return Math.exp(-h * h) * Math.exp(-(x - h) * (x + h));
}""",
    "erfcOfPositive": f"""\
function erfcOfPositive(x) {{  // Chebyshev, as Shepherd and Laframboise (1981)
  if (x > 28) return x - x;
  const coefficients = {_array(_SCALED_ERFC)};
  const t = 2 * (x - 3.75) / (x + 3.75);
  let b = 0, c = 0;
  for (let k = coefficients.length - 1; k > 0; k--) [b, c] = [t * b - c + coefficients[k], b];
  return expMinusSquare(x) * ((t / 2) * b - c + coefficients[0]) / (1 + 2 * x);
}}""",
    "erf": """\
function erf(x) {
  if (x !== x) return x;
  const size = Math.abs(x);
  if (size === 1 / 0) return copysign(1, x);
  if (size >= 0.5) return copysign(1 - erfcOfPositive(size), x);
  let term = 1, sum = 0;  // 2/sqrt(pi) times the sum of (-1)^n x^(2n+1) / (n! (2n+1))
  for (let n = 1; n < 14; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return x * (1.1283791670955126 + 1.1283791670955126 * sum);
}""",
    "erfc": """\
function erfc(x) {
  if (x !== x) return x;
  if (x === 1 / 0) return 0;
  if (x < -6) return 2;
  if (Math.abs(x) < 0.5) return 1 - erf(x);
  return x < 0 ? 2 - erfcOfPositive(-x) : erfcOfPositive(x);
}""",
    "sinPi": """\
function sinPi(x) {  // for x >= 0
  const r = x % 2;
  const half = r % 1;
  return (r < 1 ? 1 : -1) * Math.sin(Math.PI * (half > 0.5 ? 1 - half : half));
}""",
    "lgammaNearTwo": f"""\
function lgammaNearTwo(z) {{  // ln of gamma(2 + z) (Abramowitz and Stegun, 6.1.33)
  const coefficients = {_array(_LOG_GAMMA)};
  return z * (0.42278433509846713 + z * polynomial(coefficients, z));
}}""",
    "lgamma": f"""\
function lgamma(x) {{
  if (x !== x) return x;
  if (Math.abs(x) === 1 / 0) return 1 / 0;
  if (x <= 0) {{
    if (x === Math.floor(x)) return 1 / 0;
    if (x > -30) {{  // by reflection, near a pole, two logarithms of that size would cancel
      let product = 1;
      while (x < 1.5) product *= x++;
      return lgammaNearTwo(x - 2) - Math.log(Math.abs(product));
    }}
    return Math.log(Math.PI / Math.abs(x * sinPi(-x))) - lgamma(-x);
  }}
  if (x < 0.5) return lgammaNearTwo(x) - Math.log1p(x) - Math.log(x);
  if (x < 1.5) return lgammaNearTwo(x - 1) - Math.log(x);
  if (x >= 10) {{
    const coefficients = {_array(_STIRLING)};
    const series = polynomial(coefficients, 1 / x / x) / x;
    return (x - 0.5) * (Math.log(x) - 1) + 0.4189385332046728 + series;
  }}
  let product = 1;
  while (x >= 2.5) product *= --x;
  return Math.log(product) + lgammaNearTwo(x - 2);
}}""",
    "digamma": f"""\
function digamma(x) {{
  if (x === 0) return copysign(1 / 0, -x);
  if (x <= 0) {{
    if (x === Math.floor(x)) return 0 / 0;
    return digamma(1 - x) - Math.PI / Math.tan(Math.PI * (x % 1));
  }}
  if (x === 1 / 0) return x;
  const steps = Math.max(0, Math.ceil(10 - x));
  let shift = 0;
  for (let k = steps - 1; k >= 0; k--) shift += 1 / (x + k);
  x += steps;
  const coefficients = {_array(_STIRLING_DERIVATIVE)};
  const series = polynomial(coefficients, 1 / x / x) / x / x;
  return Math.log(x) - 0.5 / x - series - shift;
}}""",
}

_CALLS = {
    name: [other for other in _LIBRARY if other != name and re.search(rf"\b{other}\(", text)]
    for name, text in _LIBRARY.items()
}
