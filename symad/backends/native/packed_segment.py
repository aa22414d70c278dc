"""The code of a segment as numbers and names, which are the same in every process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.backends.native.fortran import library
from symad.backends.native.jit import CompiledModule, known_module
from symad.backends.native.kernel_call import BufferView, KernelCall, LibraryAddress
from symad.backends.native.segment_code import (
    ArrayType,
    BodyCalls,
    Call,
    LoopCall,
    LoopKind,
    Operand,
    SegmentCode,
)
from symad.graph.description import NotStorable
from symad.graph.node import Node, computed
from symad.plan.storage import Storage, StorageKind
from symad.types import TensorType


def packed_code(code: SegmentCode) -> Any:
    """Return the description of the code of a segment.

    Raises
    ------
    NotStorable
        If it calls something that only this process has.
    """
    return _Packer(code).content()


class _Packer:
    """Describes the code of a segment in numbers and names."""

    def __init__(self, code: SegmentCode) -> None:
        self._code = code
        self._modules: dict[str, int] = {}
        self._fixed = {array.__array_interface__["data"][0]: k for k, array in enumerate(code.kept)}

    def content(self) -> Any:
        code = self._segment(self._code)
        kept = [(array.dtype.str, array.shape, array.tobytes()) for array in self._code.kept]
        return _integer_bits(), list(self._modules), kept, code

    def _segment(self, code: SegmentCode) -> Any:
        if code.stacks or any(-1 in t.shape for t in (*code.inputs, *code.outputs)):
            raise NotStorable  # arrays of any number of rows
        blocks = [self._block(storage) for storage in code.blocks]
        types = [[(t.dtype.str, tuple(t.shape)) for t in group]
                 for group in (code.inputs, code.outputs)]  # fmt: skip
        contents = list(code.contents.items())
        return list(map(self._call, code.calls)), blocks, *types, contents, code.arena

    def _block(self, storage: Storage) -> Any:
        place = storage.place
        if storage.kind is StorageKind.FIXED:
            if place not in self._fixed:
                raise NotStorable
            place = self._fixed[place]
        return storage.kind.name, place

    def _call(self, call: Call) -> Any:
        if isinstance(call, LoopCall):
            bodies = [self._body(body) for body in call.bodies]
            numbers = self._word(call.count), call.flag and self._word(call.flag), call.limit
            return call.kind.name, bodies, *numbers, call.work
        module = call.module
        if not isinstance(module, CompiledModule) or not module.key:
            raise NotStorable
        names = [name for name, place in module.addresses.items() if place == call.address]
        number = self._modules.setdefault(module.key, len(self._modules))
        words = list(map(self._word, call.arguments))
        return names[0], number, words, call.work, call.parts, call.threads

    def _body(self, body: BodyCalls) -> Any:
        inputs, outputs = (
            [(self._word(o.view), o.step, o.alternates, o.from_end) for o in group]
            for group in (body.inputs, body.outputs)
        )
        return self._segment(body.code), self._word(body.arena), inputs, outputs

    def _word(self, word: int | BufferView) -> Any:
        if isinstance(word, BufferView):
            return word.block, word.offset
        return word.name if isinstance(word, LibraryAddress) else computed(int, word)


def unpacked_code(content: Any) -> SegmentCode | None:
    """Return the code of a description, ``None`` if this process lacks some of it."""
    bits, keys, constants, packed = content
    modules = [known_module(key, "kernel") for key in keys]
    if not all(modules) or bits != _integer_bits():
        return None
    kept = [np.ndarray(shape, dtype, data) for dtype, shape, data in constants]
    return _Unpacker(modules, kept).segment(packed)


class _Unpacker:
    """Makes the code of a segment from its description."""

    def __init__(self, modules: Sequence[Any], kept: Sequence[Any]) -> None:
        self._modules, self._kept = modules, kept

    def segment(self, packed: Any) -> SegmentCode:
        calls, blocks, *types, contents, arena = packed
        inputs, outputs = (
            [ArrayType(np.dtype(dtype), shape) for dtype, shape in group] for group in types
        )
        storages = [self._block(*block) for block in blocks]
        made = [self._call(*call) for call in calls]
        return SegmentCode(made, storages, inputs, outputs, dict(contents), arena, self._kept)

    def _block(self, kind: str, place: int) -> Storage:
        if kind == StorageKind.FIXED.name:
            place = self._kept[place].__array_interface__["data"][0]
        return Storage(StorageKind[kind], place)

    def _call(self, name: str, first: Any, *rest: Any) -> Call:
        if not isinstance(first, int):
            count, flag, limit, work = rest
            bodies = tuple([self._body(*body) for body in first])
            place = flag and self._view(*flag)
            number = count if isinstance(count, int) else self._view(*count)
            return LoopCall(LoopKind[name], bodies, number, _NODE, work, place, limit)
        words, work, parts, threads = rest
        module = self._modules[first]
        arguments = tuple(map(self._word, words))
        address = module.address(name)
        return KernelCall(address, arguments, module, _NODE, work, (), parts, threads)

    def _body(self, code: Any, arena: Any, *operands: Any) -> BodyCalls:
        inputs, outputs = (
            tuple([Operand(self._view(*view), *rest) for view, *rest in group])
            for group in operands
        )
        return BodyCalls(self.segment(code), self._view(*arena), inputs, outputs)

    def _word(self, word: Any) -> int | BufferView:
        if isinstance(word, str):
            return LibraryAddress.of(word)
        return word if isinstance(word, int) else self._view(*word)

    def _view(self, block: int, offset: int) -> BufferView:
        return BufferView(block, offset, (), (), _BYTE)


_BYTE = np.dtype("uint8")
_NODE = Node(None, (), TensorType(_BYTE, ()))
"""Stands for the nodes that calls compute, which only the compiled program knows."""


def _integer_bits() -> int:
    """Return the width of the integers of the library that machine code calls, 0 without one."""
    found = library()
    return 0 if found is None else found.integer_bits
