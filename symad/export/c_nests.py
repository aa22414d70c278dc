"""Loop nests in C: those into which the fusing pass puts elementwise ops and reductions.

The structure is that of :mod:`symad.backends.native.loop_nest`.  Reductions have several
accumulators side by side, so that compilers use vectors; long sums of doubles are compensated after
each block of elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import Shape, contiguous_strides
from symad.backends.native.kernels.nest_writer import identity_of
from symad.backends.native.loop_nest import Nest, ValueKind, is_in_order
from symad.backends.native.lower.copies import merged_axes
from symad.export.c_arrays import Strided
from symad.export.c_code import CCode
from symad.export.c_helpers import CHelpers
from symad.export.c_scalars import CScalar, CScalarBuilder, element, local_type, wide_type
from symad.graph.node import Constant, Node
from symad.ops.base import PerElement
from symad.ops.extremum import Max
from symad.ops.fused import Fused
from symad.ops.reduce import Reduction, Sum

_BLOCK = 1024
"""The number of elements after which a long sum is added to a compensated one."""
_DOUBLE = np.dtype("float64")


def cost_of(node: Node) -> int | None:
    """Return the estimated cost of an element of an elementwise node, ``None`` without code."""
    names = iter(range(1 << 30))
    builder = CScalarBuilder([], lambda: f"t{next(names)}", CHelpers())
    values = [CScalar(f"x{k}", source.dtype, True) for k, source in enumerate(node.inputs)]
    assert isinstance(node.op, PerElement)
    try:
        element(builder, node.op, values, node.dtype)
    except NotImplementedError:
        return None
    return builder.cost


class _CNest(Nest):
    """A nest whose costs are those of C."""

    def own_cost(self, node: Node) -> int:
        return (cost_of(node) or 0) if isinstance(node.op, PerElement) else 0


class _Axes:
    """The axes of the space, merged: those of the rows, and those of a row."""

    def __init__(self, nest: Nest, steps: Mapping[Any, Shape]) -> None:
        rank, own = len(nest.space), contiguous_strides(nest.space)
        keys, all_steps = list(steps), [*steps.values(), own]
        split = rank if nest.split is None else nest.split
        outer, inner = (
            merged_axes(nest.space[part], *(s[part] for s in all_steps))
            for part in (slice(split), slice(split, rank))
        )
        if nest.split is None:  # the last axis is a row
            outer, inner = outer[:-1], outer[-1:]
        self.outer, self.inner = (tuple(size for size, *_ in axes) for axes in (outer, inner))
        self.row = math.prod(self.inner)
        columns = [tuple(axis[k + 1] for axis in (*outer, *inner)) for k in range(len(all_steps))]
        self.steps = dict(zip(keys, columns[:-1], strict=True))
        """The steps of each read along all axes, those of the rows first."""


class _NestWriter:
    def __init__(self, code: CCode, op: Fused, inputs: Sequence[Strided]) -> None:
        self._code, self._nest = code, _CNest(op)
        self._views = self._readable(dict(zip(op.body.inputs, inputs, strict=True)))
        nest = self._nest
        self._axes = _Axes(
            nest,
            {
                (user, source): nest.steps(
                    user, source, None if is_in_order(user) else self._views[source].strides
                )
                for user, source in nest.accesses
            },
        )
        self._values: dict[Any, CScalar] = {
            node: code.scalars.constant(node.value.item(), node.dtype)
            for node in op.body.nodes
            if isinstance(node, Constant) and node not in self._views
        }
        self._stored = {n: code.scratch((self._axes.row,), n.dtype) for n in nest.stored}
        self._sums: dict[Node, _Accumulator] = {}

    def _readable(self, views: dict[Node, Strided]) -> dict[Node, Strided]:
        for user, source in self._nest.accesses:
            if is_in_order(user):
                views[source] = self._code.contiguous(views[source])
        return views

    def write(self, outputs: Sequence[Strided]) -> None:
        code, nest, axes = self._code, self._nest, self._axes
        self._targets = dict(zip(nest.body.outputs, outputs, strict=True))
        for node in nest.computed:
            kind = nest.kinds[node]
            if kind is ValueKind.COLUMN:
                code.fill(self._targets[node], identity_of(node))
            elif isinstance(node.op, Reduction):
                self._sums[node] = _Accumulator(code, node, nest, axes)
        totals = [node for node in self._sums if nest.kinds[node] is ValueKind.TOTAL]
        for node in totals:
            self._sums[node].open_total()
        with code.loops(axes.outer) as rows:
            self._rows = rows
            self._write_row()
        for node in totals:
            code.store(self._sums[node].total(), self._targets[node].reshaped(()), [])

    def _write_row(self) -> None:
        nest, code = self._nest, self._code
        before = dict(self._values)
        for stage in range(nest.stages + 1):
            for node in nest.computed:
                if nest.stage[node] == stage and not nest.is_made_in_loop(node):
                    self._write_row_value(node)
            if stage < nest.stages and nest.loops[stage]:
                self._write_stage(stage)
        for node in nest.body.outputs:
            if nest.kinds[node] is ValueKind.ROW:
                target = self._targets[node].reshaped(self._axes.outer)
                code.store(self._values[node], target, self._rows)
        self._values = before

    def _write_row_value(self, node: Node) -> None:
        if node in self._sums:
            self._sums[node].add_row(self._row_value(node, node.inputs[0]))
        else:
            self._values[node] = self._computed(node, self._row_value)

    def _computed(self, node: Node, value: Callable[[Node, Node], CScalar]) -> CScalar:
        operands = [value(node, source) for source in node.inputs]
        if not isinstance(node.op, PerElement):
            return operands[0]  # another shape of the same numbers
        made = element(self._code.scalars, node.op, operands, node.dtype)
        self._code.scalars.named(made)
        return made

    def _row_value(self, user: Node, source: Node) -> CScalar:
        """Return a value that is the same for a row."""
        if source in self._values:
            return self._values[source]
        key = self._read_key(user, source)
        if key not in self._values:
            self._values[key] = self._load(key, ["0"] * len(self._axes.inner))
        return self._values[key]

    def _read_key(self, user: Node, source: Node) -> Any:
        return source, self._axes.steps[user, source]

    def _load(self, key: Any, inner: Sequence[str]) -> CScalar:
        source, steps = key
        view = self._views[source]
        array = Strided(view.name, view.dtype, view.offset, (1,) * len(steps), steps)
        value = self._code.load(array, [*self._rows, *inner])
        self._code.scalars.named(value)
        return value

    # Stages

    def _write_stage(self, stage: int) -> None:
        code, nest, axes = self._code, self._nest, self._axes
        self._load_row_values(stage)
        sums = [self._sums[node] for node in nest.loops[stage] if node in self._sums]
        lanes = max((accumulator.lanes for accumulator in sums), default=1)
        for accumulator in sums:
            accumulator.lanes = lanes
            accumulator.open_row()
        with code.loops(axes.inner[:-1]) as indices:
            length = axes.inner[-1] if axes.inner else 1
            begin = "0"
            if len(axes.inner) == 1 and any(a.is_long for a in sums):
                begin = self._multiple(length, _BLOCK)
                with code.block(f"for (int64_t b = 0; b < {begin}; b += {_BLOCK})"):
                    self._write_line(stage, indices, "b + ", "0", _BLOCK, sums)
                    for accumulator in sums:
                        if accumulator.is_compensated:
                            accumulator.close_block()
            self._write_line(stage, indices, "", begin, length, sums)
        for accumulator in sums:
            accumulator.close_row(self._values)

    def _load_row_values(self, stage: int) -> None:
        """Read what is the same for a row before the loop over the row."""
        rows = len(self._axes.outer)
        for node in self._nest.loops[stage]:
            for source in node.inputs:
                steps = self._axes.steps.get((node, source))
                if steps is not None and not any(steps[rows:]):
                    self._row_value(node, source)

    def _multiple(self, count: int, step: int) -> str:
        """Return the text of the largest multiple of ``step`` up to ``count``."""
        if self._code.function.file.is_open and count != _BLOCK:
            return f"{count} / {step} * {step}"
        return str(count // step * step)

    def _write_line(
        self, stage: int, indices: list[str], before: str, begin: str, end: int,
        sums: Sequence[Any],
    ) -> None:  # fmt: skip
        """Write a loop over some elements of a row, whose places are after those ``before``."""
        code, lanes = self._code, sums[0].lanes if sums else 1
        if not self._axes.inner:
            self._write_elements(stage, [], "0")
            return
        if lanes > 1:
            whole = self._multiple(end, lanes)
            with code.block(f"for (int64_t j = {begin}; j < {whole}; j += {lanes})"):
                with code.block(f"for (int64_t k = 0; k < {lanes}; k++)"):
                    self._write_elements(stage, [*indices, f"{before}j + k"], "k")
            begin = whole
        if begin != str(end):
            with code.loop(end, start=begin) as index:
                self._write_elements(stage, [*indices, before + index], "0")

    def _write_elements(self, stage: int, inner: list[str], lane: str) -> None:
        nest, code = self._nest, self._code
        values: dict[Any, CScalar] = {}
        column = Strided("", _DOUBLE, 0, self._axes.inner, contiguous_strides(self._axes.inner))

        def value(user: Node, source: Node) -> CScalar:
            if source in values:
                return values[source]
            if source in self._values:
                return self._values[source]
            if source in nest.kinds:  # computed by an earlier stage
                values[source] = self._reload(source, inner)
                return values[source]
            key = self._read_key(user, source)
            if key in self._values:
                return self._values[key]
            if key not in values:
                values[key] = self._load(key, inner)
            return values[key]

        for node in nest.loops[stage]:
            if node in self._sums:
                self._sums[node].add(value(node, node.inputs[0]), lane)
            elif isinstance(node.op, Reduction):
                made = code.scalars.cast(value(node, node.inputs[0]), node.dtype)
                target = self._in_row(node, column)
                code.store(combine(code, node, code.load(target, inner), made), target, inner)
            else:
                values[node] = self._computed(node, value)
                if nest.stage[node] == stage:
                    self._keep(node, values[node], inner)

    def _in_row(self, node: Node, column: Strided) -> Strided:
        whole = self._stored.get(node) or self._targets[node]
        return Strided(whole.name, node.dtype, 0, column.shape, column.strides)

    def _place(self, node: Node) -> tuple[Strided, bool]:
        """Return where a value of each element is kept, and whether all rows of it are."""
        axes = (*self._axes.outer, *self._axes.inner)
        if node in self._targets:
            return self._targets[node].reshaped(axes), True
        return self._stored[node].reshaped(self._axes.inner), False

    def _keep(self, node: Node, value: CScalar, inner: Sequence[str]) -> None:
        if node in self._targets or node in self._stored:
            place, is_whole = self._place(node)
            self._code.store(value, place, [*(self._rows if is_whole else ()), *inner])

    def _reload(self, node: Node, inner: Sequence[str]) -> CScalar:
        place, is_whole = self._place(node)
        value = self._code.load(place, [*(self._rows if is_whole else ()), *inner])
        self._code.scalars.named(value)
        return value


def combine(code: CCode, node: Node, x: CScalar, y: CScalar) -> CScalar:
    """Return the reduction ``node`` of two values; NaN if one is NaN."""
    scalars = code.scalars
    if isinstance(node.op, Sum):
        return scalars.add(x, y)
    is_max = isinstance(node.op, Max)
    if x.dtype.kind == "b":
        return scalars.logical_or(x, y) if is_max else scalars.logical_and(x, y)
    first, second = scalars.named(x), scalars.named(y)
    condition = f"{second} {'>' if is_max else '<'} {first}"
    if x.dtype.kind == "f":
        condition = f"({condition} || {second} != {second})"
    return CScalar(f"{condition} ? {second} : {first}", x.dtype)


class _Accumulator:
    """The variables of a reduction: some for the elements of a row, and a total."""

    def __init__(self, code: CCode, node: Node, nest: Nest, axes: _Axes) -> None:
        self._code, self.node, self._dtype = code, node, wide_type(node.dtype)
        self._is_total = nest.kinds[node] is ValueKind.TOTAL
        length = axes.inner[-1] if axes.inner else 1
        wide = 64 // max(node.dtype.itemsize, node.inputs[0].dtype.itemsize)
        is_wide = nest.reduces_elements(node) and node.dtype.kind == "f"
        self.lanes = wide if is_wide and length >= 2 * wide else 1
        self._is_sum_of_floats = isinstance(node.op, Sum) and node.dtype.kind == "f"
        self.is_long = self.lanes > 1 and self._is_sum_of_floats and length > 2 * _BLOCK
        self._name = code.function.file.new("s")
        self.is_compensated = self._is_sum_of_floats and (
            (self._is_total and bool(axes.outer)) or (self.is_long and len(axes.inner) == 1)
        )

    def open_total(self) -> None:
        """Declare the total."""
        if self.is_compensated:
            self._code.function.helpers.function("add_exactly")
            self._code.add(f"double total_{self._name} = 0, rest_{self._name} = 0;")
        else:
            identity = self._code.scalars.constant(identity_of(self.node).item(), self._dtype)
            self._code.add(f"{self._type()} total_{self._name} = {identity.text};")

    def _type(self) -> str:
        return local_type(self._dtype)

    def open_row(self) -> None:
        """Declare the accumulators of a row."""
        if not self._is_total and self.is_compensated:
            self.open_total()
        self._code.add(f"{self._type()} {self._name}[{self.lanes}];")
        self._clear()

    def _clear(self) -> None:
        identity = self._code.scalars.constant(identity_of(self.node).item(), self._dtype)
        with self._code.loop(self.lanes) as k:
            self._code.add(f"{self._name}[{k}] = {identity.text};")

    def add(self, value: CScalar, lane: str) -> None:
        """Add an element."""
        place = CScalar(f"{self._name}[{lane}]", self._dtype, True)
        value = self._code.scalars.cast(value, self._dtype)
        made = combine(self._code, self.node, place, value)
        self._code.add(f"{place.text} = {made.text};")

    def add_row(self, value: CScalar) -> None:
        """Add a value of a row to the total."""
        value = self._code.scalars.cast(value, self._dtype)
        name = self._code.scalars.named(value)
        if self.is_compensated:
            self._code.add(f"add_exactly(&total_{self._name}, &rest_{self._name}, {name});")
            return
        place = CScalar(f"total_{self._name}", self._dtype, True)
        made = combine(self._code, self.node, place, value)
        self._code.add(f"{place.text} = {made.text};")

    def close_block(self) -> None:
        """Add the elements so far to the total, and begin again."""
        self.add_row(self._joined())
        self._clear()

    def close_row(self, values: dict[Any, CScalar]) -> None:
        """Set the result of a row, or add it to the total."""
        made = self._joined()
        if self._is_total or self.is_compensated:
            self.add_row(made)
            made = self.total()
        if not self._is_total:
            made = self._code.scalars.cast(made, self.node.dtype)
            self._code.scalars.named(made)
            values[self.node] = made

    def total(self) -> CScalar:
        """Return the total."""
        if not self.is_compensated:
            return CScalar(f"total_{self._name}", self._dtype, True)
        sum_ = f"with_rest(total_{self._name}, rest_{self._name})"
        return CScalar(sum_ if self._dtype.itemsize == 8 else f"(float){sum_}", self._dtype)

    def _joined(self) -> CScalar:
        """Combine the accumulators of a row in pairs, and return the last one."""
        name, code = self._name, self._code
        if self.lanes > 1:
            with code.block(f"for (int64_t n = {self.lanes // 2}; n; n /= 2)"):
                with code.block("for (int64_t k = 0; k < n; k++)"):
                    pair = [CScalar(f"{name}[{k}]", self._dtype, True) for k in ("k", "k + n")]
                    code.add(f"{name}[k] = {combine(code, self.node, *pair).text};")
        return CScalar(f"{name}[0]", self._dtype, True)


def write_nest(
    code: CCode, op: Fused, inputs: Sequence[Strided], outputs: Sequence[Strided]
) -> None:
    """Write the statements of a loop nest.

    Parameters
    ----------
    code : CCode
    op : Fused
    inputs, outputs : sequence of Strided
        Those of its body; outputs are contiguous.
    """
    _NestWriter(code, op, inputs).write(outputs)
