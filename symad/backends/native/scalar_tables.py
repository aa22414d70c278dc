"""The tables by which a function reads arguments, runs a scalar program and makes results."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, auto
from typing import Any

import numpy as np

from symad.backends.native.scalar_instructions import SLOT
from symad.backends.native.scalar_program import ScalarProgram
from symad.graph.nested import is_nested
from symad.plan.plan import Plan

_LONG = 10_000
"""Programs of at least so many instructions let other threads run Python."""


class ProgramWord(IntEnum):
    """The words that describe a program; arrays are given by their address."""

    ARGUMENTS = 0
    """The number of arguments."""
    READ = auto()
    """For each argument its dtype, as a number, and its slot."""
    BYTES = auto()
    """The memory that a call needs."""
    IMAGE = auto()
    """What it begins with."""
    IMAGE_SLOTS = auto()
    CODE = auto()
    """The instructions."""
    TABLE = auto()
    """The addresses of their code."""
    IS_LONG = auto()
    RESULTS = auto()
    """The number of rows of the next table."""
    MADE = auto()
    """A row for each object of the result, see :class:`MadeWord`."""
    OBJECTS = auto()
    """Where in the memory the addresses of these objects are noted."""


class MadeWord(IntEnum):
    """A row of the table of results."""

    KIND = 0
    """The dtype of a number, as a number, or one more for a list, two for a tuple, three for a
    dict."""
    CONTENT = auto()
    """The slot of a number, or the length of a list or tuple."""
    INTO = auto()
    """Where it is placed: see :class:`Into`."""
    OWNER = auto()
    """The row of the object into which it is placed."""
    KEY = auto()
    """Which item it is there; for a dict the number of its key."""


class Into(IntEnum):
    """Where an object is placed."""

    ROOT = 0
    LIST = auto()
    TUPLE = auto()
    DICT = auto()


class ProgramTables:
    """The tables of a program, and what they refer to.

    Parameters
    ----------
    plan : Plan
    program : ScalarProgram
        Its program.
    outputs : nested structure
        The structure of the result.
    read, made : tuple of dtype
        The dtypes of the arguments and the results, in the order of their numbers.

    Attributes
    ----------
    description : array of int64
        See :class:`ProgramWord`.
    keys : list
        All keys of the dicts of a result.
    """

    def __init__(
        self,
        plan: Plan,
        program: ScalarProgram,
        outputs: Any,
        read: tuple[np.dtype[Any], ...],
        made: tuple[np.dtype[Any], ...],
    ) -> None:
        self.keys: list[Any] = []
        inputs = zip(plan.graph.inputs, plan.inputs, strict=True)
        given = [(read.index(node.dtype), slot) for node, slot in inputs]
        results = zip(plan.graph.outputs, plan.outputs, strict=True)
        numbers = [(made.index(node.dtype), slot) for node, slot in results]
        rows = list(self._rows(outputs, iter(numbers), len(made)))
        self._arrays = np.array(given, np.uint32), np.array(rows, np.uint32), program
        begin = program.slots * SLOT
        words = {
            ProgramWord.ARGUMENTS: len(given),
            ProgramWord.READ: self._arrays[0].ctypes.data,
            ProgramWord.BYTES: begin + len(rows) * SLOT,
            ProgramWord.IMAGE: program.image.ctypes.data,
            ProgramWord.IMAGE_SLOTS: program.image.size,
            ProgramWord.CODE: program.words.ctypes.data,
            ProgramWord.TABLE: program.table.ctypes.data,
            ProgramWord.IS_LONG: program.instructions >= _LONG and not program.by_numpy,
            ProgramWord.RESULTS: len(rows),
            ProgramWord.MADE: self._arrays[1].ctypes.data,
            ProgramWord.OBJECTS: begin,
        }
        self.description = np.array([words[word] for word in ProgramWord], np.int64)

    def _rows(
        self, outputs: Any, numbers: Iterator[tuple[int, int]], dtypes: int
    ) -> Iterator[tuple[int, ...]]:
        """Yield the table of results: each object after the one into which it is placed."""
        pending: list[tuple[Any, tuple[int, int, int]]] = [(outputs, (Into.ROOT, 0, 0))]
        row = 0
        while pending:
            template, place = pending.pop()
            if not is_nested(template):
                yield (*next(numbers), *place)
            else:
                into = _into(template)
                yield (dtypes + into - 1, len(template), *place)
                items = [(item, (into, row, key)) for key, item in self._items(template)]
                pending += reversed(items)
            row += 1

    def _items(self, template: Any) -> Iterator[tuple[int, Any]]:
        """Yield the items of a structure, with the number of each or of its key."""
        if not isinstance(template, dict):
            yield from enumerate(template)
            return
        for key, item in template.items():
            self.keys.append(key)
            yield len(self.keys) - 1, item


def _into(template: Any) -> Into:
    if isinstance(template, dict):
        return Into.DICT
    return Into.LIST if isinstance(template, list) else Into.TUPLE
