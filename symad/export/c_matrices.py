"""Linear algebra in C: products and factorisations of matrices, as functions for each type."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.export.c_helpers import CHelpers
from symad.export.c_text import MEMORY_TYPES, memory_type

PANEL = 64, 256
"""The rows and columns of a block of the second matrix of a product."""

_PRODUCT = """\
/* C = A B, or C + A B; elements of A along its second axis are ak apart, and so on.  Rows of B are
   added to rows of C, four at once; blocks of B whose rows are not lines are copied to panel. */
static void product_{t}(int64_t m, int64_t n, int64_t terms,
    const {T} *a, int64_t ai, int64_t ak, const {T} *b, int64_t bk, int64_t bj,
    {T} *c, int64_t ci, int64_t cj, {T} *panel, int adds) {{
  for (int64_t j0 = 0; j0 < n; j0 += {columns}) {{
    const int64_t columns = n - j0 < {columns} ? n - j0 : {columns};
    for (int64_t k0 = 0; k0 < terms; k0 += {depth}) {{
      const int64_t depth = terms - k0 < {depth} ? terms - k0 : {depth};
      const {T} *rows = b + k0 * bk + j0 * bj;
      int64_t step = bk;
      if (bj != 1) {{
        for (int64_t k = 0; k < depth; k++)
          for (int64_t j = 0; j < columns; j++)
            panel[k * columns + j] = rows[k * bk + j * bj];
        rows = panel;
        step = columns;
      }}
      for (int64_t i = 0; i < m; i++) {{
        const {T} *const x = a + i * ai + k0 * ak;
        {T} *restrict const y = c + i * ci + j0 * cj;
        const int64_t whole = cj == 1 ? depth / 4 * 4 : 0;
        if (k0 == 0 && !adds)
          for (int64_t j = 0; j < columns; j++) y[j * cj] = 0;
        for (int64_t k = 0; k < whole; k += 4) {{
          const {T} e0 = x[k * ak], e1 = x[(k + 1) * ak];
          const {T} e2 = x[(k + 2) * ak], e3 = x[(k + 3) * ak];
          const {T} *restrict const b0 = rows + k * step, *restrict const b1 = b0 + step;
          const {T} *restrict const b2 = b1 + step, *restrict const b3 = b2 + step;
          for (int64_t j = 0; j < columns; j++) {{
            const {T} two = {two};
            y[j] = {four};
          }}
        }}
        for (int64_t k = whole; k < depth; k++) {{
          const {T} e = x[k * ak];
          const {T} *restrict const row = rows + k * step;
          for (int64_t j = 0; j < columns; j++) y[j * cj] = {one};
        }}
      }}
    }}
  }}
}}
"""

_DOTS = """\
/* y = A x, or y + A x: eight sums side by side for each row. */
static void dots_{t}(int64_t m, int64_t terms, const {T} *a, int64_t ai, int64_t ak,
    const {T} *x, int64_t xk, {T} *y, int64_t yi, int adds) {{
  for (int64_t i = 0; i < m; i++) {{
    const {T} *const row = a + i * ai;
    {T} sum[8] = {{0}};
    const int64_t whole = ak == 1 && xk == 1 ? terms / 8 * 8 : 0;
    for (int64_t k = 0; k < whole; k += 8)
      for (int64_t q = 0; q < 8; q++) sum[q] = sum[q] + row[k + q] * x[k + q];
    for (int64_t k = whole; k < terms; k++) sum[0] = sum[0] + row[k * ak] * x[k * xk];
    sum[0] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    y[i * yi] = adds ? y[i * yi] + sum[0] : sum[0];
  }}
}}
"""

_TEXTS = {
    "lu": """\
/* P A = L U; element (i, j) is a[i * ai + j * aj]; p has the row that each row was swapped with. */
static int lu_{t}(int64_t n, {T} *a, int64_t ai, int64_t aj, int64_t *p) {{
  int is_singular = 0;
  for (int64_t k = 0; k < n; k++) {{
    int64_t best = k;
    for (int64_t i = k + 1; i < n; i++)
      if (fabs{f}(a[i * ai + k * aj]) > fabs{f}(a[best * ai + k * aj])) best = i;
    p[k] = best;
    if (a[best * ai + k * aj] == 0) {{
      is_singular = 1;
      continue;
    }}
    if (best != k) exchange_{t}(n, aj, a + k * ai, a + best * ai);
    for (int64_t i = k + 1; i < n; i++) a[i * ai + k * aj] /= a[k * ai + k * aj];
    for (int64_t i = k + 1; i < n; i++) {{
      const {T} e = a[i * ai + k * aj];
      for (int64_t j = k + 1; j < n; j++) a[i * ai + j * aj] -= e * a[k * ai + j * aj];
    }}
  }}
  return is_singular;
}}
""",
    "swap": """\
/* Swap rows of x, which has m columns: in order, or in reverse order. */
static void swap_{t}(int64_t n, const int64_t *p, int64_t m, {T} *x, int in_reverse) {{
  for (int64_t s = 0; s < n; s++) {{
    const int64_t i = in_reverse ? n - 1 - s : s;
    if (p[i] != i) exchange_{t}(m, 1, x + i * m, x + p[i] * m);
  }}
}}
""",
    "triangular": """\
/* Solve A X = B in place, where A is triangular and X has m columns; 1 if A has a zero in its
   diagonal. */
static int triangular_{t}(int64_t n, const {T} *a, int64_t ai, int64_t aj, int is_lower,
    int is_unit, int64_t m, {T} *x) {{
  for (int64_t s = 0; s < n; s++) {{
    const int64_t i = is_lower ? s : n - 1 - s;
    const int64_t from = is_lower ? 0 : i + 1, to = is_lower ? i : n;
    for (int64_t k = from; k < to; k++) {{
      const {T} e = a[i * ai + k * aj];
      for (int64_t j = 0; j < m; j++) x[i * m + j] -= e * x[k * m + j];
    }}
    if (is_unit) continue;
    if (a[i * ai + i * aj] == 0) return 1;
    for (int64_t j = 0; j < m; j++) x[i * m + j] /= a[i * ai + i * aj];
  }}
  return 0;
}}
""",
    "solve_lu": """\
/* Solve A X = B, or the transposed A, in place, by the factors of A. */
static int solve_lu_{t}(int64_t n, const {T} *a, int64_t ai, int64_t aj, const int64_t *p,
    int is_transposed, int64_t m, {T} *x) {{
  if (is_transposed) {{
    if (triangular_{t}(n, a, aj, ai, 1, 0, m, x)) return 1;
    triangular_{t}(n, a, aj, ai, 0, 1, m, x);
    swap_{t}(n, p, m, x, 1);
    return 0;
  }}
  swap_{t}(n, p, m, x, 0);
  triangular_{t}(n, a, ai, aj, 1, 1, m, x);
  return triangular_{t}(n, a, ai, aj, 0, 0, m, x);
}}
""",
    "determinant": """\
/* The determinant by the factors, or its sign and the logarithm of its magnitude; NaN if an element
   is not finite. */
static {T} determinant_{t}(int64_t n, const {T} *a, const int64_t *p, {T} *log_) {{
  {T} value = 1, sum = 0, unknown = 0;
  for (int64_t i = 0; i < n * n; i++) unknown += 0 * a[i];
  for (int64_t i = 0; i < n; i++) {{
    const {T} e = a[i * (n + 1)];
    if (p[i] != i) value = -value;
    sum += log{f}(fabs{f}(e));
    value *= !log_ ? e : e > 0 ? 1 : e < 0 ? -1 : e;
  }}
  if (log_) *log_ = sum + unknown;
  return value + unknown;
}}
""",
    "cholesky": """\
/* A = L L' in place, of the lower triangle; 1 if A is not positive definite. */
static int cholesky_{t}(int64_t n, {T} *a) {{
  for (int64_t i = 0; i < n; i++) {{
    for (int64_t j = 0; j <= i; j++) {{
      const {T} *const x = a + i * n, *const y = a + j * n;
      {T} sum[8] = {{0}};
      const int64_t whole = j / 8 * 8;
      for (int64_t k = 0; k < whole; k += 8)
        for (int64_t q = 0; q < 8; q++) sum[q] += x[k + q] * y[k + q];
      for (int64_t k = whole; k < j; k++) sum[0] += x[k] * y[k];
      sum[0] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
      sum[0] = x[j] - sum[0];
      if (i == j && sum[0] <= 0) return 1;
      a[i * n + j] = i == j ? sqrt{f}(sum[0]) : sum[0] / y[j];
    }}
    for (int64_t j = i + 1; j < n; j++) a[i * n + j] = 0;
  }}
  return 0;
}}
""",
    "qr": """\
/* A = Q R by Householder's reflections: a (m rows, n columns) becomes R below its first k rows,
   q has k columns. */
static void qr_{t}(int64_t m, int64_t n, int64_t k, {T} *a, {T} *q, {T} *tau) {{
  for (int64_t s = 0; s < k; s++) {{
    {T} scale = 0, norm = 0, head = a[s * n + s];
    for (int64_t i = s; i < m; i++) scale = fmax{f}(scale, fabs{f}(a[i * n + s]));
    tau[s] = 0;
    for (int64_t i = s + 1; i < m; i++) norm += fabs{f}(a[i * n + s]);
    if (norm == 0) continue;
    norm = 0;
    for (int64_t i = s; i < m; i++) norm += (a[i * n + s] / scale) * (a[i * n + s] / scale);
    norm = -copysign{f}(scale * sqrt{f}(norm), head);
    tau[s] = (norm - head) / norm;
    for (int64_t i = s + 1; i < m; i++) a[i * n + s] /= head - norm;
    a[s * n + s] = norm;
    for (int64_t j = s + 1; j < n; j++) {{
      {T} sum = a[s * n + j];
      for (int64_t i = s + 1; i < m; i++) sum += a[i * n + s] * a[i * n + j];
      a[s * n + j] -= tau[s] * sum;
      for (int64_t i = s + 1; i < m; i++) a[i * n + j] -= tau[s] * sum * a[i * n + s];
    }}
  }}
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < k; j++) q[i * k + j] = i == j;
  for (int64_t s = k - 1; s >= 0; s--)
    for (int64_t j = s; j < k; j++) {{
      {T} sum = q[s * k + j];
      for (int64_t i = s + 1; i < m; i++) sum += a[i * n + s] * q[i * k + j];
      q[s * k + j] -= tau[s] * sum;
      for (int64_t i = s + 1; i < m; i++) q[i * k + j] -= tau[s] * sum * a[i * n + s];
    }}
}}
""",
    "exchange": """\
/* Exchange n elements of x with those of y, which are step apart. */
static void exchange_{t}(int64_t n, int64_t step, {T} *x, {T} *y) {{
  for (int64_t k = 0; k < n; k++) {{
    const {T} e = x[k * step];
    x[k * step] = y[k * step];
    y[k * step] = e;
  }}
}}
""",
    "tangent": """\
/* The tangent of Jacobi's rotation, which makes the off-diagonal element of x, off, y zero. */
static {T} tangent_{t}({T} x, {T} y, {T} off) {{
  const {T} theta = (y - x) / (2 * off);
  return copysign{f}(1, theta) / (fabs{f}(theta) + hypot{f}(1, theta));
}}
""",
    "rotate": """\
/* Rotate n pairs of elements of x and y, which are step apart, by an angle of that tangent. */
static void rotate_{t}(int64_t n, int64_t step, {T} tangent, {T} *x, {T} *y) {{
  const {T} c = 1 / sqrt{f}(1 + tangent * tangent), s = tangent * c;
  for (int64_t k = 0; k < n; k++) {{
    const {T} e = x[k * step], g = y[k * step];
    x[k * step] = c * e - s * g;
    y[k * step] = s * e + c * g;
  }}
}}
""",
    "eigen": """\
/* A = V diag(w) V' for a symmetric A, by Jacobi's rotations, w ascending; 1 if they do not end. */
static int eigen_{t}(int64_t n, {T} *a, {T} *w, {T} *v) {{
  int64_t sweep;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {{
      v[i * n + j] = i == j;
      if (j > i) a[i * n + j] = a[j * n + i];
    }}
  for (sweep = 0; sweep < 60; sweep++) {{
    int moved = 0;
    for (int64_t p = 0; p < n; p++)
      for (int64_t q = p + 1; q < n; q++) {{
        const {T} off = a[p * n + q], x = a[p * n + p], y = a[q * n + q];
        if (off != off) return 1;
        if (fabs{f}(off) <= {eps} * sqrt{f}(fabs{f}(x)) * sqrt{f}(fabs{f}(y)) * ({T})0.25 ||
            off == 0) continue;
        const {T} t = tangent_{t}(x, y, off);
        moved = 1;
        rotate_{t}(n, n, t, a + p, a + q);
        rotate_{t}(n, 1, t, a + p * n, a + q * n);
        rotate_{t}(n, n, t, v + p, v + q);
        a[p * n + q] = a[q * n + p] = 0;
      }}
    if (!moved) break;
  }}
  for (int64_t i = 0; i < n; i++) w[i] = a[i * n + i];
  for (int64_t i = 0; i < n; i++) {{
    int64_t least = i;
    for (int64_t j = i + 1; j < n; j++)
      if (w[j] < w[least]) least = j;
    if (least == i) continue;
    exchange_{t}(1, 1, w + i, w + least);
    exchange_{t}(n, n, v + i, v + least);
  }}
  return sweep == 60;
}}
""",
    "singular": """\
/* A = U diag(s) V', for m >= n: columns of A (m rows) are rotated until they are orthogonal, s
   descending; a becomes U; 1 if that does not end. */
static int singular_{t}(int64_t m, int64_t n, {T} *a, {T} *s, {T} *v) {{
  int64_t sweep;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) v[i * n + j] = i == j;
  for (sweep = 0; sweep < 60; sweep++) {{
    int moved = 0;
    for (int64_t p = 0; p < n; p++)
      for (int64_t q = p + 1; q < n; q++) {{
        {T} x = 0, y = 0, off = 0;
        for (int64_t i = 0; i < m; i++) {{
          x += a[i * n + p] * a[i * n + p];
          y += a[i * n + q] * a[i * n + q];
          off += a[i * n + p] * a[i * n + q];
        }}
        if (off != off) return 1;
        if (off == 0 || fabs{f}(off) <= {eps} * sqrt{f}(x) * sqrt{f}(y)) continue;
        const {T} t = tangent_{t}(x, y, off);
        moved = 1;
        rotate_{t}(m, n, t, a + p, a + q);
        rotate_{t}(n, n, t, v + p, v + q);
      }}
    if (!moved) break;
  }}
  for (int64_t j = 0; j < n; j++) {{
    {T} scale = 0, sum = 0;
    for (int64_t i = 0; i < m; i++) scale = fmax{f}(scale, fabs{f}(a[i * n + j]));
    for (int64_t i = 0; i < m && scale > 0; i++) {{
      a[i * n + j] /= scale;
      sum += a[i * n + j] * a[i * n + j];
    }}
    for (int64_t i = 0; i < m && scale > 0; i++) a[i * n + j] /= sqrt{f}(sum);
    s[j] = scale * sqrt{f}(sum);
  }}
  for (int64_t i = 0; i < n; i++) {{
    int64_t most = i;
    for (int64_t j = i + 1; j < n; j++)
      if (s[j] > s[most]) most = j;
    if (most == i) continue;
    exchange_{t}(1, 1, s + i, s + most);
    exchange_{t}(m, n, a + i, a + most);
    exchange_{t}(n, n, v + i, v + most);
  }}
  return sweep == 60;
}}
""",
}
_USES = {
    "lu": ("exchange",), "swap": ("exchange",), "solve_lu": ("swap", "triangular"),
    "eigen": ("exchange", "tangent", "rotate"), "singular": ("exchange", "tangent", "rotate"),
}  # fmt: skip


def matrix_function(helpers: CHelpers, kind: str, dtype: np.dtype[Any]) -> str:
    """Return the name of a function of float64 or float32, which is defined with what it uses."""
    for used in _USES.get(kind, ()):
        matrix_function(helpers, used, dtype)
    single = dtype.itemsize == 4
    facts = {
        "t": dtype.name, "T": memory_type(dtype), "f": "f" if single else "",
        "eps": "1e-7f" if single else "1e-16",
    }  # fmt: skip
    return helpers.define(f"{kind}_{dtype.name}", _TEXTS[kind].format(**facts))


def product_function(helpers: CHelpers, kind: str, dtype: np.dtype[Any]) -> str:
    """Return the name of a function for products of matrices of any dtype."""
    name = dtype.name
    add = "{} + {} * {}"
    if dtype.kind == "b":
        add = "{} | ({} & {})"
    elif dtype.kind in "iu":
        wide = "uint64_t" if dtype.itemsize == 8 else "uint32_t"
        add = f"({MEMORY_TYPES[name]})(({wide}){{}} + ({wide}){{}} * ({wide}){{}})"
    two = add.format(add.format("y[j]", "e0", "b0[j]"), "e1", "b1[j]")
    facts = {
        "t": name, "T": MEMORY_TYPES[name], "columns": PANEL[1], "depth": PANEL[0], "two": two,
        "four": add.format(add.format("two", "e2", "b2[j]"), "e3", "b3[j]"),
        "one": add.format("y[j * cj]", "e", "row[j]"),
    }  # fmt: skip
    text = _PRODUCT if kind == "product" else _DOTS
    return helpers.define(f"{kind}_{name}", text.format(**facts))
