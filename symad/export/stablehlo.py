"""export_stablehlo: a compiled function as the text of the program that XLA compiles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from symad.backends.select import choose_backend
from symad.backends.xla.results import form_of, leaf_types
from symad.errors import ExportError
from symad.export.functions import require_compiled
from symad.graph.nested import leaves, rebuild
from symad.graph.node import Node
from symad.graph.op import explained
from symad.passes.size_inputs import size_inputs
from symad.records import replace
from symad.runtime.function import Function
from symad.runtime.inputs import Binding
from symad.types import StructureType, TensorType
from symad.visible import visible


@explained
def export_stablehlo(function: Function, *arguments: Any, **keywords: Any) -> str:
    """Return a compiled function as StableHLO, the language of XLA's programs, with locations.

    Each operation has the label of the node it was made of, and your file and line:
    ``loc("loss"("train.py":12:0))``.  The program is the one that ``backend="jax"`` runs, for one
    set of shapes: the inputs in order, then the parameters; the outputs in order, then the new
    values of the updated parameters.

    Parameters
    ----------
    function : Function
    *arguments, **keywords
        As for a call: for each input a value, or its :class:`~symad.types.TensorType`; nothing at
        all if all shapes are declared.

    Returns
    -------
    str

    Raises
    ------
    ExportError
        If JAX has nothing for an op, or a shape is not known.
    FeedError
        If an argument does not fit.
    MissingExtraError
        If JAX is not installed.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=("n",))
    >>> f = sm.compile([x], sm.sin(x) * 2, name="f")
    >>> print(sm.export_stablehlo(f, [1.0, 2.0]))  # doctest: +SKIP
    module @jit_f attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
      func.func public @main(%arg0: tensor<2xf64> loc("x")) -> tensor<2xf64> {
        %0 = stablehlo.sine %arg0 : tensor<2xf64> loc(#loc6)
    ...
    """
    require_compiled(function)
    settings = replace(function.settings, backend=choose_backend("jax"))
    made = Function(
        function.graph, function.inputs, function.outputs, function.updates, settings, function.name
    )
    program: Any = made.specialised(_examples(function, arguments, keywords)).program
    nodes: list[Node] = []

    def number(node: Node) -> str:
        nodes.append(node)
        return f"{_SCOPE}{len(nodes) - 1}"

    module = program.lowered(number, function.name).compiler_ir("stablehlo")
    inputs = [x for x in function.graph.inputs for _ in leaves(_zeros(x.type))]
    with module.context:
        main = module.body.operations[0].regions[0].blocks[0]
        for argument, node in zip(main.arguments, inputs, strict=True):
            argument.set_location(_location_of(node))
        for operation in _operations(module.operation):
            operation.location = _location(str(operation.location), nodes)
        return str(module.operation.get_asm(enable_debug_info=True))


_SCOPE = "symad."


def _examples(function: Function, arguments: Any, keywords: Any) -> list[Any]:
    """Return a value for each input of the graph, of which often only the type matters."""
    nodes, sizes = list(leaves(function.inputs)), size_inputs(function.graph)
    given: Sequence[Any] = [node.type for node in nodes]
    if arguments or keywords:
        given = Binding(function.name, function.inputs).values(arguments, keywords)
    for place, (node, value) in enumerate(zip(nodes, given, strict=True)):
        is_type = isinstance(value, (StructureType, TensorType))
        if is_type and (place in sizes or not value.is_static):
            raise ExportError(
                f"{node.label!r} is {value}, and a program has fixed sizes",
                where=node.site.describe(),
                remedy="Give a value of each argument, or its TensorType if it is no size.",
            )
    whole = rebuild(function.inputs, iter(map(_zeros, given)))
    return function.arguments(*(whole if isinstance(whole, (list, tuple)) else [whole]))


def _zeros(value: Any) -> Any:
    """Return zeros for a type, which take no memory, and other values as they are."""
    if isinstance(value, StructureType):
        return rebuild(form_of(value), iter(map(_zeros, leaf_types(value))))
    if isinstance(value, TensorType) and value.is_static:
        shape: Any = value.shape
        return np.broadcast_to(np.zeros((), value.dtype), shape)
    return value


def _operations(root: Any) -> Iterator[Any]:
    """Yield an operation of MLIR, and all within it."""
    waiting = [root]
    while waiting:
        operation = waiting.pop()
        yield operation
        waiting += [
            inner.operation for region in operation.regions for block in region for inner in block
        ]


def _location(text: str, nodes: list[Node]) -> Any:
    """Return the label and the user's line for the innermost scope in the text of a location."""
    ir = import_module("jax.extend.mlir.ir")
    numbers = re.findall(rf"{re.escape(_SCOPE)}(\d+)(?=/)", text)
    if not numbers:
        return ir.Location.unknown()
    return _location_of(nodes[int(numbers[-1])])


def _location_of(node: Node) -> Any:
    ir = import_module("jax.extend.mlir.ir")
    line = ir.Location.file(node.site.filename, node.site.line, 0)
    return ir.Location.name(visible(node.label), line)
