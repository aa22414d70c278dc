"""Where the values of a segment stand: in a result, where an argument stood, or in the arena."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Sequence

from symad.backends.native.call_table import Block, Where
from symad.backends.native.kernel_call import Command, View
from symad.plan.arrange import Lifetime, arrange

_LENDERS = 8
"""So many results at most lend their memory: it bounds the cost of a value."""
_LENT = 4096
"""Smaller values, in bytes, do not borrow."""

_Span = tuple[int, int]
"""The first and the last command that need a value."""


def place(
    commands: Sequence[Command],
    blocks: Sequence[Block | int],
    outputs: dict[int, Block],
    numbers: Collection[int],
) -> tuple[list[Block], int]:
    """Find a place for each block that has none; return all places and the size of the arena.

    Parameters
    ----------
    commands : sequence of Command
    blocks : sequence of Block or int
        The size in bytes of those without a place.
    outputs : dict
        The places of blocks that are results with axes.
    numbers : collection of int
        Blocks that are results without axes, which are needed when all commands have run.
    """
    spans = _spans(commands, blocks, [*outputs, *numbers])
    homes = _homes(commands, blocks, spans)
    for block, home in homes.items():
        spans[home] = spans[block][0], spans[home][1]
    placed = dict(outputs)
    free = {k: Lifetime(_size(blocks[k]), *spans[k]) for k in spans if k not in homes}
    placed |= _borrowed({k: life for k, life in free.items() if k not in placed}, free, outputs)
    rest = [k for k in free if k not in placed]
    layout = arrange([free[block] for block in rest])
    for block, offset in zip(rest, layout.offsets, strict=True):
        placed[block] = Block(Where.ARENA, offset)
    for block, home in homes.items():
        placed[block] = placed[home]
    unused = Block(Where.ARENA, 0)
    found = [b if isinstance(b, Block) else placed.get(k, unused) for k, b in enumerate(blocks)]
    return found, layout.size


def _size(block: Block | int) -> int:
    assert isinstance(block, int)
    return block


def _spans(
    commands: Sequence[Command], blocks: Sequence[Block | int], results: Iterable[int]
) -> dict[int, _Span]:
    """Return the span of each block that commands fill; results are needed to the end."""
    spans: dict[int, _Span] = {}
    for step, command in enumerate(commands):
        for word in command.words:
            if isinstance(word, View) and not isinstance(blocks[word.block], Block):
                spans[word.block] = spans.get(word.block, (step, step))[0], step
    end = len(commands)
    for block in results:
        spans[block] = spans.get(block, (end, end))[0], end
    return spans


def _homes(
    commands: Sequence[Command], blocks: Sequence[Block | int], spans: dict[int, _Span]
) -> dict[int, int]:
    """Return, for blocks that a later result takes the place of, the last of these."""
    homes: dict[int, int] = {}
    for step, command in reversed(list(enumerate(commands))):
        for made, read in command.over:
            if read.block not in spans or blocks[read.block] != blocks[made.block]:
                continue
            if spans[read.block][1] == spans[made.block][0] == step:
                homes[read.block] = homes.get(made.block, made.block)
    return homes


def _borrowed(
    values: dict[int, Lifetime], all_values: dict[int, Lifetime], outputs: dict[int, Block]
) -> dict[int, Block]:
    """Return the places of values that stand in a result until this is written, the largest first.

    The arrays of the results are there when the first command runs.
    """
    large = [k for k, life in values.items() if life.size >= _LENT]
    waiting = sorted(large, key=lambda k: (-values[k].size, values[k].first))
    lenders = sorted(outputs, key=lambda k: -all_values[k].size)[:_LENDERS]
    found: dict[int, Block] = {}
    for lender in lenders:
        result = all_values[lender]
        taken: list[_Span] = [(result.first, result.last)]
        for block in waiting:
            life = values[block]
            if block not in found and life.size <= result.size and _is_free(taken, life):
                insort(taken, (life.first, life.last))
                found[block] = outputs[lender]
    return found


def _is_free(taken: Sequence[_Span], life: Lifetime) -> bool:
    """Return whether none of some spans, in order and apart, meets that of a value."""
    after = bisect_left(taken, (life.first, life.last))
    ends_in_time = after == len(taken) or life.last < taken[after][0]
    return ends_in_time and (after == 0 or taken[after - 1][1] < life.first)
