"""Ops on matrices in C: products, factorisations, systems of equations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.export.c_arrays import Strided
from symad.export.c_code import CCode
from symad.export.c_matrices import PANEL, matrix_function, product_function
from symad.export.c_ops import TABLE as TABLE
from symad.export.c_ops import Arrays, missing, writes
from symad.export.c_scalars import CScalar
from symad.graph.node import Node

_INT64 = np.dtype("int64")
_FEW = 4
"""Products with fewer columns are not summed in panels."""
_SINGULAR = "a matrix is singular"

# Products


class _Labelled:
    """An array whose axes have names."""

    def __init__(self, array: Strided, names: Sequence[str]) -> None:
        self.array, self.names = array, list(names)

    def step(self, name: str) -> int:
        """Return the stride along an axis; 0 if there is none, or it has one element."""
        axes = [axis for axis, other in enumerate(self.names) if other == name]
        return sum(self.array.strides[axis] for axis in axes if self.array.shape[axis] != 1)

    def at(self, indices: dict[str, str], *without: str) -> str:
        """Return a pointer to the elements at some indices."""
        steps = [(indices[n], self.step(n)) for n in dict.fromkeys(self.names) if n not in without]
        terms = [f"{index} * {step}" for index, step in steps if step and index != "0"]
        return " + ".join([self.array.pointer(), *terms])


@writes("matmul")
def _matmul(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    left, right = inputs
    batch = [f"b{k}" for k in reversed(range(max(len(left.shape), len(right.shape))))]
    row, column = ["i"] * (len(left.shape) > 1), ["j"] * (len(right.shape) > 1)
    terms = ([*row, "k"], ["k", *column], [*row, *column])
    arrays = [
        _Labelled(x, [*batch[len(batch) - len(x.shape) + len(term) :], *term])
        for x, term in zip((left, right, outputs[0]), terms, strict=True)
    ]
    _contract(code, node, arrays)


@writes("einsum")
def _einsum(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    given, _, result = node.op.subscripts.partition("->")  # type: ignore[union-attr]
    pairs = zip((*inputs, *outputs), (*given.split(","), result), strict=True)
    _contract(code, node, [_Labelled(x, _names(term, len(x.shape))) for x, term in pairs])


def _names(term: str, rank: int) -> list[str]:
    """Return a name for each axis; axes of an ellipsis are named from its last one on."""
    before, dots, after = term.partition("...")
    count = rank - len(before) - len(after) if dots else 0
    return [*before, *(f"...{k}" for k in reversed(range(count))), *after]


def _contract(code: CCode, node: Node, arrays: Sequence[_Labelled]) -> None:
    *factors, result = arrays
    with code.wide(result.array) as wide:
        _add_products(code, [*factors, _Labelled(wide, result.names)])


def _add_products(code: CCode, arrays: Sequence[_Labelled]) -> None:
    *factors, out = arrays
    dtype = out.array.dtype
    converted = [_Labelled(_converted(code, x.array, dtype), x.names) for x in factors]
    sizes: dict[str, int] = {}
    for array in arrays:
        for name, size in zip(array.names, array.array.shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 0)) if size != 1 else sizes.get(name, 1)
    summed = [name for name in sizes if name not in out.names]
    if not all(sizes.values()):
        code.fill(out.array, 0)
        return
    repeats = any(len(set(x.names)) < len(x.names) for x in arrays)
    if len(factors) == 2 and summed and not repeats:
        _by_products(code, converted, out, sizes, summed)
    else:
        _by_terms(code, converted, out, sizes, summed)


def _converted(code: CCode, array: Strided, dtype: np.dtype[Any]) -> Strided:
    return array if array.dtype == dtype else code.contiguous(array, dtype)


def _by_terms(
    code: CCode, factors: Sequence[_Labelled], out: _Labelled, sizes: dict[str, int],
    summed: Sequence[str],
) -> None:  # fmt: skip
    """Add up the products of all factors, one element of the result after the other."""
    code.fill(out.array, 0)
    names = [*dict.fromkeys(out.names), *summed]
    with code.loops(tuple(sizes[name] for name in names)) as at:
        indices = dict(zip(names, at, strict=True))
        values = [CScalar(f"*({x.at(indices)})", out.array.dtype) for x in factors]
        made = values[0]
        for value in values[1:]:
            made = code.scalars.multiply(made, value)
        place = f"*({out.at(indices)})"
        made = code.scalars.add(CScalar(place, out.array.dtype, True), made)
        code.add(f"{place} = {made.text};")


def _by_products(
    code: CCode, factors: Sequence[_Labelled], out: _Labelled, sizes: dict[str, int],
    summed: Sequence[str],
) -> None:  # fmt: skip
    """Call a product of matrices, over the largest axis of each kind, in loops over the others."""
    first, second = factors
    own = [[n for n in out.names if n in x.names and n not in y.names and sizes[n] > 1]
           for x, y in (factors, (second, first))]  # fmt: skip
    k = max(summed, key=lambda name: (sizes[name], name in first.names and name in second.names))
    i, j = (max(names, key=lambda n: sizes[n], default="") for names in own)
    rows, columns = sizes.get(i, 1), sizes.get(j, 1)
    if columns < _FEW <= rows or (rows > 1 and out.step(i) == 1 != out.step(j)):
        first, second, i, j, rows, columns = second, first, j, i, columns, rows
    rest = [n for n in [*dict.fromkeys(out.names), *summed] if n not in (i, j, k)]
    more = [name for name in rest if name in summed]
    call = _product_call(code, (first, second, out), (i, j, k), (rows, columns, sizes[k]))
    with code.loops(tuple(sizes[name] for name in rest)) as at:
        indices = dict(zip(rest, at, strict=True))
        adds = " || ".join(f"{indices[n]} > 0" for n in more if indices[n] != "0") or "0"
        code.add(call(indices, adds))


def _product_call(
    code: CCode, arrays: Sequence[_Labelled], names: Sequence[str], sizes: Sequence[int]
) -> Callable[[dict[str, str], str], str]:
    """Return a function of indices that returns the statement of a product."""
    (a, b, c), (i, j, k), (rows, columns, terms) = arrays, names, sizes
    dtype, helpers = c.array.dtype, code.function.helpers
    if rows == 1 and dtype.kind == "f" and (b.step(k) == 1 or columns == 1):
        name = product_function(helpers, "dots", dtype)
        steps = [b.step(j), b.step(k), a.step(k), c.step(j)]
        return lambda at, adds: (
            f"{name}({columns}, {terms}, {b.at(at, j, k)}, {steps[0]}, {steps[1]}, "
            f"{a.at(at, i, k)}, {steps[2]}, {c.at(at, i, j)}, {steps[3]}, {adds});"
        )
    name = product_function(helpers, "product", dtype)
    panel = "NULL" if b.step(j) == 1 else code.scratch(PANEL, dtype).name
    ends = [
        f"{x.step(p)}, {x.step(q)}" for x, p, q in ((a, i, k), (b, k, j), (c, i, j))
    ]
    return lambda at, adds: (
        f"{name}({rows}, {columns}, {terms}, {a.at(at, i, k)}, {ends[0]}, {b.at(at, k, j)}, "
        f"{ends[1]}, {c.at(at, i, j)}, {ends[2]}, {panel}, {adds});"
    )


# Matrices one by one


class _Batch:
    """A stack of matrices: pointers to the arrays of each, in a loop."""

    def __init__(self, code: CCode, node: Node, shape: tuple[int, ...]) -> None:
        self._code, self.shape = code, shape
        self.count = math.prod(shape)
        op: Any = node.op
        self.allows_failure = op.name == "nan_on_failure"

    def pointer(self, array: Strided, k: str) -> str:
        """Return a pointer to one matrix of a contiguous stack."""
        size = array.size // self.count
        return array.pointer() if k == "0" else f"{array.pointer()} + {k} * {size}"

    def fails(self, condition: str, message: str, k: str, results: Arrays) -> None:
        """Return with a message where a condition holds, or make the results NaN."""
        if not self.allows_failure:
            self._code.fails(condition, message)
            return
        with self._code.block(f"if ({condition})"):
            for array in results:
                with self._code.loop(array.size // self.count) as e:
                    self._code.add(f"({self.pointer(array, k)})[{e}] = NAN;")


def _function(code: CCode, kind: str, array: Strided) -> str:
    return matrix_function(code.function.helpers, kind, array.dtype)


def _floats(code: CCode, source: Strided, dtype: np.dtype[Any]) -> Strided:
    """Return a contiguous copy that may be overwritten."""
    made = code.scratch(source.shape, dtype)
    code.copy(source, made)
    return made


@writes("cholesky")
def _cholesky(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (a,), (out,) = inputs, outputs
    code.copy(a, out)
    batch = _Batch(code, node, a.shape[:-2])
    with code.loop(batch.count) as k:
        call = f"{_function(code, 'cholesky', out)}({a.shape[-1]}, {batch.pointer(out, k)})"
        batch.fails(call, "a matrix is not positive definite", k, outputs)


def _factored(code: CCode, a: Strided, dtype: np.dtype[Any]) -> tuple[Strided, Strided]:
    """Return copies for the factors of each matrix, and the rows swapped."""
    factors = _floats(code, a, dtype)
    return factors, code.scratch(a.shape[:-1], _INT64)


def _stacks(code: CCode, a: Strided, b: Strided, out: Strided) -> tuple[Strided, Strided, int]:
    """Return matrices for each result, the result with the right-hand sides, and their columns."""
    columns = b.see(lambda v: v[:, None]) if len(b.shape) == 1 else b
    shape = (*out.shape, 1) if len(b.shape) == 1 else out.shape
    out = out.reshaped(shape)
    code.copy(columns.broadcast_to(shape), out)
    return a.broadcast_to((*shape[:-2], *a.shape[-2:])), out, shape[-1]


@writes("solve")
def _solve(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (a, b), n = inputs, inputs[0].shape[-1]
    a, out, m = _stacks(code, a, b, outputs[0])
    batch = _Batch(code, node, out.shape[:-2])
    if not out.size:
        return
    factors, swaps = _factored(code, a, out.dtype)
    lu, solve = _function(code, "lu", out), _function(code, "solve_lu", out)
    with code.loop(batch.count) as k:
        f, p, x = (batch.pointer(array, k) for array in (factors, swaps, out))
        call = f"{lu}({n}, {f}, {n}, 1, {p}) || {solve}({n}, {f}, {n}, 1, {p}, 0, {m}, {x})"
        batch.fails(call, _SINGULAR, k, [out])


@writes("solve_triangular")
def _solve_triangular(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    op: Any = node.op
    op, (a, b), n = getattr(op, "op", op), inputs, inputs[0].shape[-1]
    a, out, m = _stacks(code, a, b, outputs[0])
    batch = _Batch(code, node, out.shape[:-2])
    if not out.size:
        return
    a = code.contiguous(a, out.dtype)
    with code.loop(batch.count) as k:
        call = (
            f"{_function(code, 'triangular', out)}({n}, {batch.pointer(a, k)}, {n}, 1, "
            f"{int(op.lower)}, {int(op.unit_diagonal)}, {m}, {batch.pointer(out, k)})"
        )
        batch.fails(call, _SINGULAR, k, [out])


@writes("inv")
def _inv(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (a,), (out,), n = inputs, outputs, inputs[0].shape[-1]
    factors, swaps = _factored(code, a, out.dtype)
    lu = _function(code, "lu", out)

    def factorise(f: str, p: str) -> str:
        return f"{lu}({n}, {f}, {n}, 1, {p}) || "

    _invert(code, node, factors, swaps, out, f"{n}, 1", factorise)


@writes("inverse_factored")
def _inverse_factored(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    """The factors are those of the transpose."""
    (out,), n = outputs, inputs[0].shape[-1]
    factors, swaps = code.contiguous(inputs[0]), _from_zero(code, inputs[1])
    _invert(code, node, factors, swaps, out, f"1, {n}", lambda f, p: "", 1)


def _invert(
    code: CCode, node: Node, factors: Strided, swaps: Strided, out: Strided, steps: str,
    before: Callable[[str, str], str], transposed: int = 0,
) -> None:  # fmt: skip
    """Solve for the unit vectors by factors, after a first condition."""
    n, batch = out.shape[-1], _Batch(code, node, out.shape[:-2])
    code.fill(out, 0)
    code.fill(out.see(lambda v: np.diagonal(v, axis1=-2, axis2=-1)), 1)
    solve = _function(code, "solve_lu", out)
    with code.loop(batch.count) as k:
        f, p, x = (batch.pointer(array, k) for array in (factors, swaps, out))
        call = f"{solve}({n}, {f}, {steps}, {p}, {transposed}, {n}, {x})"
        batch.fails(before(f, p) + call, _SINGULAR, k, [out])


@writes("det", "slogdet")
def _det(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (a,), n, dtype = inputs, inputs[0].shape[-1], outputs[0].dtype
    factors, swaps = _factored(code, a, dtype)
    lu = _function(code, "lu", factors)
    _determinants(code, node, factors, swaps, outputs, lambda f, p: f"{lu}({n}, {f}, {n}, 1, {p});")


@writes("slogdet_factored")
def _slogdet_factored(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    factors, swaps = code.contiguous(inputs[0]), _from_zero(code, inputs[1])
    _determinants(code, node, factors, swaps, outputs, lambda f, p: "")


def _determinants(
    code: CCode, node: Node, factors: Strided, swaps: Strided, outputs: Arrays,
    before: Callable[[str, str], str],
) -> None:  # fmt: skip
    n, batch = factors.shape[-1], _Batch(code, node, factors.shape[:-2])
    determinant = _function(code, "determinant", factors)
    with code.loop(batch.count) as k:
        f, p = batch.pointer(factors, k), batch.pointer(swaps, k)
        places = [f"{out.name}[{k}]" for out in outputs]
        second = f"&{places[1]}" if len(places) > 1 else "NULL"
        code.add(*filter(None, [before(f, p)]))
        code.add(f"{places[0]} = {determinant}({n}, {f}, {p}, {second});")


@writes("lu_factors")
def _lu_factors(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    """The factors of the transpose, by rows, and the rows swapped, from 1 on."""
    (a,), (factors, swaps), n = inputs, outputs, inputs[0].shape[-1]
    code.copy(a, factors)
    batch = _Batch(code, node, a.shape[:-2])
    with code.loop(batch.count) as k:
        f, p = batch.pointer(factors, k), batch.pointer(swaps, k)
        code.add(f"{_function(code, 'lu', factors)}({n}, {f}, 1, {n}, {p});")
    one = CScalar("1", _INT64, True)
    code.each(lambda values: code.scalars.add(values[0], one), swaps, swaps)


def _from_zero(code: CCode, swaps: Strided) -> Strided:
    made, one = code.scratch(swaps.shape, _INT64), CScalar("1", _INT64, True)
    code.each(lambda values: code.scalars.subtract(values[0], one), made, swaps)
    return made


@writes("solve_factored")
def _solve_factored(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    """The factors are those of the transpose."""
    op: Any = node.op
    op, (factors, swaps, b), n = getattr(op, "op", op), inputs, inputs[0].shape[-1]
    factors, out, m = _stacks(code, factors, b, outputs[0])
    batch = _Batch(code, node, out.shape[:-2])
    if not out.size:
        return
    factors = code.contiguous(factors)
    swaps = code.contiguous(_from_zero(code, swaps.broadcast_to(factors.shape[:-1])))
    with code.loop(batch.count) as k:
        f, p, x = (batch.pointer(array, k) for array in (factors, swaps, out))
        solve = _function(code, "solve_lu", out)
        call = f"{solve}({n}, {f}, 1, {n}, {p}, {int(not op.transposed)}, {m}, {x})"
        batch.fails(call, _SINGULAR, k, [out])


@writes("qr")
def _qr(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (a,), (q, r), (m, n) = inputs, outputs, inputs[0].shape[-2:]
    made, few = _floats(code, a, q.dtype), min(m, n)
    batch, tau = _Batch(code, node, a.shape[:-2]), code.scratch((few,), q.dtype)
    with code.loop(batch.count) as k:
        pointers = f"{batch.pointer(made, k)}, {batch.pointer(q, k)}, {tau.name}"
        code.add(f"{_function(code, 'qr', q)}({m}, {n}, {few}, {pointers});")
    code.copy(made.see(lambda v: v[..., :few, :]), r)
    with code.loops(r.shape) as at:
        code.add(f"if ({at[-2]} > {at[-1]}) {r.at(at)} = 0;")


@writes("eigh", "eigvalsh")
def _eigh(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (a,), n, dtype = inputs, inputs[0].shape[-1], outputs[0].dtype
    made = _floats(code, a, dtype)
    vectors = outputs[1] if len(outputs) > 1 else code.scratch(a.shape, dtype)
    batch = _Batch(code, node, a.shape[:-2])
    with code.loop(batch.count) as k:
        pointers = ", ".join(batch.pointer(array, k) for array in (made, outputs[0], vectors))
        call = f"{_function(code, 'eigen', made)}({n}, {pointers})"
        batch.fails(call, "eigenvalues did not converge", k, outputs)


@writes("svd", "svdvals")
def _svd(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    """Of a matrix with more columns than rows, the transpose is decomposed."""
    (a,), dtype = inputs, outputs[0].dtype
    turned = a.shape[-2] < a.shape[-1]
    tall = a.see(lambda v: np.swapaxes(v, -1, -2)) if turned else a
    m, n = tall.shape[-2:]
    left, right = _floats(code, tall, dtype), code.scratch((*a.shape[:-2], n, n), dtype)
    values = outputs[1] if len(outputs) > 1 else outputs[0]
    batch = _Batch(code, node, a.shape[:-2])
    with code.loop(batch.count) as k:
        pointers = ", ".join(batch.pointer(array, k) for array in (left, values, right))
        call = f"{_function(code, 'singular', left)}({m}, {n}, {pointers})"
        batch.fails(call, "singular values did not converge", k, outputs)
    if len(outputs) > 1:
        u, v = (right, left) if turned else (left, right)
        code.copy(u, outputs[0])
        code.copy(v.see(lambda x: np.swapaxes(x, -1, -2)), outputs[2])


@writes("nan_on_failure")
def _nan_on_failure(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    op: Any = node.op
    if op.op.name not in TABLE:
        raise missing(node, f"{op.op.name} is not there")
    TABLE[op.op.name](code, node, inputs, outputs)
