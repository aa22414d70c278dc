"""Records of 8-byte words, of which the tables of programs consist: what stands where.

Machine code reads these tables, and Python code fills them.  The names of words are plain numbers,
since an enumeration takes a quarter of a millisecond to define; ``END`` is the number of words.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Table = np.ndarray[Any, np.dtype[np.int64]]


# The table of a program


class TableWord:
    """The words that a table begins with.

    ``LOCK`` is the address of a word that is not 0 while the arena is in use; ``FAILED`` is 1 + the
    index of a call that failed.
    """

    (
        LOCK, INPUT_COUNT, INPUTS, OUTPUT_COUNT, OUTPUTS, CALL_COUNT, CALLS, ARRAY_TYPE, TRUE,
        FALSE, NONE, NO_MEMORY, FAILED, END,
    ) = range(14)  # fmt: skip


class ConventionWord:
    """The words that a calling convention begins with.

    After the inputs, ``TARGET_COUNT`` more arguments may be given: for each output an array for it,
    or ``None``.  The steps put the results together on a stack, on which one object remains.
    """

    FALLBACK, TARGET_COUNT, STEP_COUNT, STEPS, STACK, END = range(6)


class StepWord:
    """The words about a step that puts results together."""

    KIND, COUNT, OBJECT, END = range(4)


class StepKind:
    """What a step does: put so many results on the stack, or make one object of so many on it.

    For a dict, ``OBJECT`` is the tuple of its keys; for what is called, a type.
    """

    PUSH, LIST, TUPLE, DICT, CALL = range(5)


class ArgumentWord:
    """The words about an argument; a call writes how many ``ROWS`` it has if any number will do."""

    SIGNATURE, NDIM, SIZES, SCALAR_TYPE, PYTHON_TYPE, PLACE_COUNT, PLACES, ROWS, END = range(9)


class ResultWord:
    """The words about a result; ``CONTENT`` is where the calls leave a number, or a stack.

    ``ITEM_SIZE`` is the number of bytes of an element, or of a row of a stack.
    """

    (
        MADE, KIND, TYPE_NUMBER, NDIM, SIZES, PLACE_COUNT, PLACES, MAKER, CONTENT, ITEM_SIZE, END,
    ) = range(11)  # fmt: skip


class ResultKind:
    """How a result is made: a new array, the array that a callable returns, a scalar, a boolean, or
    a copy of a stack, of which only the calls find out how many rows it has."""

    ARRAY, CALLED, SCALAR, BOOLEAN, STACK = range(5)


class CallWord:
    """The words about a call."""

    CODE, WORDS, FLAGS, END = range(4)


class PartsWord:
    """The words about a call that is done in parts, each with ``SIZE`` arguments of its own.

    ``NEXT`` is the part to begin next, ``RUNNING`` how many threads are at parts.  ``HELPERS`` is
    called with the address of these words, so that other threads do parts as well.
    """

    CODE, WORDS, SIZE, COUNT, HELPERS, NEXT, RUNNING, FAILED, END = range(9)


class CallFlag:
    """What else to do: let other threads run from here on; up to here, and look for signals."""

    LEAVE, RETURN = 1, 2


# Loops and branches


class LoopWord:
    """The words about a loop.

    ``COUNT`` is the address of the number of steps, which a while loop writes; ``FLAG`` that of the
    byte in which the calls of ``CONDITION`` leave whether to go on; ``LIMIT`` the most steps, or
    -1.  After ``POLLED`` steps, signals are looked for.  ``STACKS`` are uses of memory that grows;
    they have room for ``ROOM`` steps.  ``ROWS`` are the addresses of numbers of rows, each of which
    must be the number of steps.  ``FAILED`` is the number of steps that were done before one that
    failed, -1 for none.
    """

    (
        COUNT, LIMIT, FLAG, POLLED, CONDITION, CONDITION_COUNT, BODY, BODY_COUNT, FINISH,
        FINISH_COUNT, CURSORS, CURSOR_COUNT, ROOM, STACKS, STACK_COUNT, ROWS, ROW_COUNT, FAILED,
        END,
    ) = range(19)  # fmt: skip


class CursorWord:
    """The words about a cursor: the word at ``PLACE`` is that at ``BASE`` plus ``OFFSET`` at first.

    After each step, it moves by ``STEP``, or back after every other step if ``ALTERNATES`` is 1.
    If ``FROM_END`` is 1, it ends, not begins, at ``OFFSET``.
    """

    PLACE, BASE, OFFSET, STEP, ALTERNATES, FROM_END, END = range(7)


class StackWord:
    """The words about memory that grows: its address, the bytes that are there, the rows in use."""

    ADDRESS, BYTES, ROWS, END = range(4)


class UseWord:
    """The words about a use of such memory in a loop: its words, and the bytes of a step."""

    STACK, ROW, END = range(3)


class BranchWord:
    """The words about a choice: the address of the index; the branches, each calls and count."""

    INDEX, COUNT, BRANCHES, END = range(4)

BRANCH_SIZE = 2
"""The words about one of several branches."""


# The table that leads to a program

DTYPES = tuple(
    np.dtype(name)
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float32", "float64",
    )
)  # fmt: skip
"""The dtypes of numbers that are converted."""
PYTHON_TYPES = (float, int, bool)
"""The types of Python's numbers, which come after the dtypes in the list of sources."""

SEED, FACTOR = 0x243F6A8885A308D3, 0x9E3779B97F4A7C15
"""Numbers with irregular bits: from these, keys get their hashes."""


class DispatchWord:
    """The words that a table begins with.

    The first ``OWNED`` words of the buffer of a call are objects: the arguments, the items of
    containers, and the values.  The numbers that become sizes follow.
    """

    (
        ARGUMENT_COUNT, NAMES, CONTAINER_COUNT, CONTAINERS, LEAF_COUNT, LEAVES, STATE_COUNT, STATES,
        LOCK_COUNT, LOCKS, UPDATE_COUNT, UPDATES, FIRST_VALUE, OWNED, SIZE_COUNT, MASK, ENTRIES,
        FALLBACK, LATEST, ARRAY_TYPE, LIST, TUPLE, DICT, TRUE, FALSE, ASARRAY, SOURCES, END,
    ) = range(28)  # fmt: skip


class ContainerWord:
    """The words about a container: its slot, the number of its items, and the slot of the first.

    ``TYPE`` is accepted besides lists and tuples; for a dict, ``KEYS`` is the tuple of its keys.
    """

    SLOT, COUNT, FIRST, TYPE, KEYS, END = range(6)


class LeafWord:
    """The words about a value; those about the values of parameters come last.

    ``TARGET`` is the place of its dtype in the list of sources, ``CASTS`` has a bit for each source
    that may be cast to it, and ``SIGNATURE`` is what an array of its dtype is recognised by.
    """

    SLOT, IS_SIZE, SCALAR_TYPE, PYTHON_TYPE, TARGET, CASTS, SIGNATURE, END = range(8)


class SourceWord:
    """The words about a kind of number: the type of the objects, or the dtype of the arrays."""

    TYPE, SIGNATURE, END = range(3)


class LockWord:
    """The words about a lock: bound methods."""

    ACQUIRE, RELEASE, END = range(3)


class EntryWord:
    """The words about an entry; ``SIZES`` are the numbers that its code was made for."""

    HASH, CALL, NUMBER, SIZES, END = range(5)
