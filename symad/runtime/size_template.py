"""Programs for sizes that a function has not met, without the pipeline.

When a function is called with a third batch size, its program is made with traced numbers in place
of the sizes that differ from those of the call before; see :mod:`symad.graph.tape`.  The tape gives
the programs for further sizes, if all that the pipeline asked about sizes has the same answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

from symad.backends.base import CompileRequest, Made
from symad.graph.graph import Graph
from symad.graph.node import Constant
from symad.graph.op import Op
from symad.graph.tape import OTHERS, Recording, Tape, TapeError, has_traced
from symad.ops.body import WithBody
from symad.passes.rules import rules_of
from symad.records import dataclass
from symad.types import TensorType, Type

Axis = tuple[int, int]
"""The number of an input, and an axis of it."""
Groups = Sequence[Sequence[Axis]]
"""The axes of each size."""

_MOST_TEMPLATES = 8
"""How often a function is traced: each time takes longer than to make the program alone."""


@dataclass(frozen=True, slots=True)
class SizeTemplate:
    """The program of a function for inputs of which some sizes may vary.

    Attributes
    ----------
    types : tuple of Type
        Those for which it was made.
    varying : sequence of sequence of Axis
        The axes of each size that may vary.
    recording : Recording
        Gives the bytes that calls check, and the description of the program.
    """

    types: tuple[Type, ...]
    varying: Groups
    recording: Recording

    def content(self, types: tuple[Type, ...]) -> Any:
        """Return bytes and description for inputs of some types, ``None`` if they are not known."""
        ranks, known = ([getattr(t, "ndim", None) for t in group] for group in (types, self.types))
        sizes = _sizes(types, self.varying) if ranks == known else None
        if sizes is None or _with_sizes(self.types, self.varying, sizes) != types:
            return None
        return self.recording(sizes)


class SizeTemplates:
    """The templates of one function."""

    def __init__(self) -> None:
        self._made: tuple[SizeTemplate, ...] = ()
        self._left = _MOST_TEMPLATES
        self._latest: Sequence[Type] = ()

    def program(self, request: CompileRequest, make: Callable[[], Made]) -> Made:
        """Return the program of a request: by a template, or else what ``make`` returns."""
        backend = request.settings.backend
        found = self._content(request)
        if found is not None:
            memory, description = found
            program = backend.described_program(description, request, lambda: make()[0])
            if program is not None:
                return program, memory
        return make()

    def _content(self, request: CompileRequest) -> Any:
        types, latest = request.types, self._latest
        self._latest = types
        for template in self._made:
            found = template.content(types)
            if found is not None:
                return found
        varying = _varying(latest, types)
        if not 0 < len(varying) <= len(OTHERS) or not self._left:
            return None
        self._left -= 1
        made = size_template(request, varying)
        found = None if made is None else made.content(types)
        if made is None or found is None:
            self._left //= 2
        else:
            self._made += (made,)
        return found


def size_template(request: CompileRequest, varying: Groups) -> SizeTemplate | None:
    """Return the template of a program in which some sizes vary, ``None`` if there is none."""
    types = request.types
    if not all(kind.__module__.startswith("symad.") for kind in request.graph.kinds):
        return None  # ops of others may not know traced numbers
    tape = Tape(_sizes(types, varying) or ())
    try:
        content, others = _traced(request, _with_sizes(types, varying, tape.variables))
        return SizeTemplate(types, varying, Recording(tape, content, others))
    except (Exception, TapeError):  # the program itself, or its error, is made from plain numbers
        return None
    finally:
        tape.close()


def _traced(request: CompileRequest, types: Sequence[Type]) -> tuple[Any, set[Hashable]]:
    """Return memory and description of a program, and the values that no traced size may have."""
    from symad.runtime.pipeline import STAGES, Job, run_passes  # slow to import

    settings = request.settings
    job = Job(settings.grade, types, settings.recompute, settings.backend)
    made = run_passes(request.graph, job, keep=True)
    plan: Any = made.final
    for stage in STAGES[:-1]:
        plan = stage.run(settings.backend, plan, settings, request.workspace)
    description = settings.backend.description(plan)
    if description is None:
        raise TapeError("the program has no description")
    memory = plan.node_by_node().lower_bound or 0 if made.is_large else 0
    graphs = [graph for report in made.reports for graph in (report.before, report.after)]
    rules = rules_of(settings.grade, settings.backend.unwanted_rules)
    return (memory, description), {*_values_in(filter(None, graphs)), *rules.numbers}


def _values_in(graphs: Iterable[Graph]) -> Iterator[Hashable]:
    """Yield the sizes, attributes and constants in graphs that are not traced."""
    left = list(graphs)
    met: dict[int, Any] = {}
    while left:
        for node in left.pop().nodes:
            if isinstance(node, Constant) and not has_traced(node.value):
                yield node.value.tobytes()
            for thing in (node.type, node.op):
                if id(thing) not in met:
                    met[id(thing)] = thing  # which keeps it, so that no other has its id
                    shape = getattr(thing, "shape", ())
                    yield from _numbers(thing.attributes() if isinstance(thing, Op) else shape)
                    left += thing.bodies if isinstance(thing, WithBody) else ()


def _numbers(value: Any) -> Iterator[Hashable]:
    """Yield the numbers in nested structures that are not traced."""
    if isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)
    elif isinstance(value, (int, float)) and not has_traced(value):
        yield value


# Sizes of types


def _varying(old: Sequence[Any], new: Sequence[Any]) -> Groups:
    """Return the axes whose sizes differ, those that had and have the same size together.

    There are none if types differ in more than that.
    """
    groups: dict[tuple[Any, Any], list[Axis]] = {}
    for k, (a, b) in enumerate(zip(old, new, strict=False)):
        if a != b:
            if type(a) is not TensorType or type(b) is not TensorType or a.ndim != b.ndim:
                return ()
            shapes: Any = a.shape, b.shape
            for axis, sizes in enumerate(zip(*shapes, strict=True)):
                if sizes[0] != sizes[1]:
                    groups.setdefault(sizes, []).append((k, axis))
    return tuple(groups.values())


def _sizes(types: Sequence[Any], varying: Groups) -> list[int] | None:
    """Return the size of each group of axes, ``None`` if some differ within a group."""
    found = [{types[k].shape[axis] for k, axis in group} for group in varying]
    return None if any(len(sizes) > 1 for sizes in found) else [*itertools.chain(*found)]


def _with_sizes(types: Sequence[Any], varying: Groups, sizes: Sequence[Any]) -> tuple[Type, ...]:
    """Return the types with other sizes of some axes."""
    shapes = {k: list(types[k].shape) for group in varying for k, _ in group}
    for group, size in zip(varying, sizes, strict=True):
        for k, axis in group:
            shapes[k][axis] = size
    pairs = enumerate(types)
    return tuple([t.with_shape(tuple(shapes[k])) if k in shapes else t for k, t in pairs])
