"""Lowering: from nodes of a graph to commands over blocks of memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from symad.backends.native.call_table import Block, Code, Static, Where
from symad.backends.native.kernel_call import Command, Shape, View, contiguous_strides
from symad.backends.native.lower import contract, copies, index, lapack, loops
from symad.backends.native.lower.views import is_view, view
from symad.backends.native.placement import place
from symad.errors import InternalError
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.ops.adjoint import Identity
from symad.ops.base import PerElement
from symad.ops.extremum import Max, Min
from symad.ops.fused import Fused
from symad.ops.reduce import Sum
from symad.ops.structure import StructureItem
from symad.passes.fuse import shape_of
from symad.types import StructureType, TensorType

Scratch = Callable[[Shape, np.dtype[Any]], View]
Lower = Callable[[Node, Sequence[View], View, Scratch], "list[Command] | None"]
"""Returns the commands that compute a node, ``None`` if there is no native code for it."""


@cache
def _table() -> dict[type[Op], Lower]:
    """Return what lowers each op that has machine code besides nests and views."""
    return {**copies.TABLE, **contract.TABLE, **lapack.TABLE, **index.TABLE}


def is_native(node: Node, given: Iterable[Node] = ()) -> bool:
    """Return whether there may be native code for a node; :meth:`Lowering.lower` knows."""
    op = node.op
    if isinstance(op, StructureItem):
        return isinstance(node.inputs[0].op, Fused) or type(node.inputs[0].op) in _table()
    known = type(op) in _table() or isinstance(op, (Fused, PerElement, Sum, Max, Min))
    return known and all(map(_is_known, (*node.inputs, *_parts(node))))


def _is_known(node: Node | TensorType) -> bool:
    type_ = node.type if isinstance(node, Node) else node
    return isinstance(type_, TensorType) and type_.is_static and type_.dtype.kind in "biuf"


def _parts(node: Node) -> list[Any]:
    """Return the types of a value and, of a structure, of its items."""
    if isinstance(node.type, StructureType):
        return [type_ for _, type_ in node.type.fields]
    return [node.type]


def static(node: Node) -> Static:
    """Return the type of an array whose type is known."""
    assert isinstance(node.type, TensorType)
    return Static(node.type.dtype, shape_of(node))


class Lowering:
    """Collects the commands of one segment.

    Parameters
    ----------
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.

    Attributes
    ----------
    nodes : list of Node
        What is computed, in order.
    """

    def __init__(self, is_fast: bool = False) -> None:
        self._is_fast = is_fast
        self.nodes: list[Node] = []
        self._commands: list[Command] = []
        self._views: dict[Node, Any] = {}
        self._blocks: list[Block | int] = []  # an integer is the size of what goes to the arena
        self._given: dict[int, Node] = {}
        self._constants: list[Any] = []

    def __contains__(self, node: Node) -> bool:
        return node in self._views

    def lower(self, node: Node, copied: bool = False) -> bool:
        """Append the commands that compute a node; return whether there are any.

        With ``copied``, the node is a view, and is to get memory of its own.
        """
        if isinstance(node.op, StructureItem):
            whole = self._views.get(node.inputs[0])
            if whole is None:
                return False
            self._views[node] = whole[node.op.key]
            self.nodes.append(node)
            return True
        inputs = [self.view_of(source) for source in node.inputs]
        if not all(isinstance(source, View) for source in inputs):
            return False
        parts = [self.scratch(part.shape, part.dtype) for part in _parts(node)]
        made = self._commands_of(node, inputs, parts)
        if made is None:
            return False
        self._commands += made
        self._views[node] = parts if isinstance(node.type, StructureType) else parts[0]
        self.nodes.append(node)
        return True

    def _commands_of(
        self, node: Node, inputs: list[Any], parts: list[View]
    ) -> list[Command] | None:
        assert node.op is not None
        lower = _table().get(type(node.op))
        if lower is not None:
            output: Any = parts[0] if len(parts) == 1 else tuple(parts)
            return lower(node, inputs, output, self.scratch)
        if isinstance(node.op, Identity):
            return copies.copy(node, inputs[0], parts[0])
        return loops.lower(node, inputs, parts, self.scratch, self._is_fast)

    def scratch(self, shape: Shape, dtype: np.dtype[Any]) -> View:
        """Return memory in the arena, which is taken as long as commands refer to it."""
        size = math.prod(shape) * dtype.itemsize
        self._blocks.append(size)
        return self._whole(len(self._blocks) - 1, shape, dtype)

    def _whole(self, block: int, shape: Shape, dtype: np.dtype[Any]) -> View:
        return View(block, 0, shape, contiguous_strides(shape), dtype)

    def view_of(self, node: Node) -> View | None:
        """Return where a value stands: one that comes from outside is an input of the segment."""
        chain = []
        while node not in self._views and is_view(node):
            chain.append(node)
            node = node.inputs[0]
        if node not in self._views:
            self._views[node] = self._from_outside(node)
        found: View = self._views[node]
        for step in reversed(chain):
            seen = view(step, found) or self._copied_view(step, found)
            if seen is None:
                return None
            found = self._views[step] = seen
        return found

    def _copied_view(self, node: Node, source: View) -> View | None:
        """Return the view of a copy of ``source``, where there is no view without."""
        made = copies.contiguous(node, source, self.scratch)
        if made is None:
            return None
        self._commands += made[1]
        return view(node, made[0])

    def _from_outside(self, node: Node) -> View:
        assert isinstance(node.type, TensorType)
        if isinstance(node, Constant):
            array = np.ascontiguousarray(node.value).reshape(node.value.shape)
            self._constants.append(array)
            block = Block(Where.FIXED, array.__array_interface__["data"][0])
        else:
            self._given[len(self._blocks)] = node
            block = Block(Where.INPUT, -1)
        self._blocks.append(block)
        return self._whole(len(self._blocks) - 1, shape_of(node), node.type.dtype)

    # The finished segment

    def inputs(self) -> list[Node]:
        """Return the values that commands read from outside."""
        used = {word.block for c in self._commands for word in c.words if isinstance(word, View)}
        return [node for block, node in self._given.items() if block in used]

    def code(self, inputs: Sequence[Node], outputs: Sequence[Node]) -> Code:
        """Return the commands with all blocks in place, for these inputs and outputs.

        The outputs are among :attr:`nodes`, no two in the same memory.
        """
        number = {node: k for k, node in enumerate(inputs)}
        blocks = list(self._blocks)
        for block, node in self._given.items():
            blocks[block] = Block(Where.INPUT, number.get(node, -1))
        outputs_at: dict[int, Block] = {}
        numbers: dict[int, int] = {}
        for k, node in enumerate(outputs):
            at = self._views[node].block
            if isinstance(blocks[at], Block) or at in outputs_at or at in numbers:
                raise InternalError(f"two outputs of a segment share memory: {node!r}")
            if shape_of(node):
                outputs_at[at] = Block(Where.OUTPUT, k)
            else:
                numbers[at] = k
        places, size = place(self._commands, blocks, outputs_at, numbers)
        contents = {k: places[at].place for at, k in numbers.items()}
        taken, made = list(map(static, inputs)), list(map(static, outputs))
        return Code(self._commands, places, taken, made, contents, size, self._constants)
