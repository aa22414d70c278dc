"""export_onnx: a compiled function as a file that ONNX Runtime and others run."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from symad.errors import ExportError, InternalError, MissingExtraError
from symad.export.functions import require_compiled
from symad.export.onnx_bodies import evaluate
from symad.export.onnx_elements import OnnxBuilder
from symad.export.onnx_writer import OnnxArray
from symad.graph.graph import Graph
from symad.graph.nested import is_nested, leaves
from symad.graph.node import Node, Parameter
from symad.graph.op import explained
from symad.passes.specialise import specialise
from symad.replacing import replacing
from symad.runtime.function import Function
from symad.runtime.pipeline import optimise
from symad.types import StructureType, TensorType, Type
from symad.visible import visible

OPSET, IR_VERSION = 18, 8
"""The first opset with bitwise ops and reductions over axes that are inputs; its oldest format."""
_MOST_BYTES = 2**31 - 2**24
"""What a file of one part can hold, apart from the nodes."""


@explained
def export_onnx(
    function: Function, path: str | os.PathLike[str], *, provenance: bool = True
) -> None:
    """Write a compiled function as an ONNX model, with its gradients and updates.

    Named dimensions stay dynamic, under their names.  The graph is the one that symad's passes
    made, before it is cut into loop nests.  Loops stay loops, and branches stay branches.

    Parameters
    ----------
    function : Function
        Each input has a declared number of axes.
    path : str or path-like
        The file is replaced only if all goes well.
    provenance : bool
        Whether the documentation of each node says what it is: its name, its role in a derivative,
        its scope, and your line.

    Raises
    ------
    ExportError
        If ONNX has nothing for an op, or the rank of an input is not known; the message names the
        node and your line.  Nothing is written then.
    MissingExtraError
        If the package ``onnx`` is not installed.

    Notes
    -----
    Parameters: they are stored in the model.  One that is updated is also an input, whose default
    is its value, and its new value is the output ``w.new``.

    Names: inputs and parameters have those of the graph.  An output has its key, or ``output`` with
    its position: ``loss``, ``output.0``, ``grads.w``.

    dtypes are those of the graph.  What ONNX Runtime cannot compute in float64, such as ``tan`` and
    ``erf``, is composed of other ops to full precision.  The model uses opset 18.

    ONNX raises no errors for values: the index of a branch is clipped, a loop that does not end
    within ``max_steps`` gives NaN, and matrices without an inverse or a factor give NaN or
    infinities.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=("n",))
    >>> y = sm.sum(sm.sin(x) * x)
    >>> f = sm.compile([x], {"y": y, "slope": sm.gradients(y, x)})
    >>> sm.export_onnx(f, "f.onnx")  # doctest: +SKIP
    >>> import onnxruntime  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession("f.onnx")  # doctest: +SKIP
    >>> session.run(["slope"], {"x": np.array([0.0, 1.0])})  # doctest: +SKIP
    [array([0.        , 1.38177329])]
    """
    require_compiled(function)
    if not list(leaves([function.outputs, [*function.updates]])):
        raise ExportError("a function without outputs cannot be written in ONNX")
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError("ONNX is not installed", remedy='pip install "symad[onnx]"')
    data = onnx_model(function, lowered(function), provenance).SerializeToString(deterministic=True)
    with replacing(path) as file:
        file.write(data)


def lowered(function: Function) -> Graph:
    """Return the graph that is written: optimised for the declared types.

    Raises
    ------
    ExportError
        If the rank of an input is not known.
    """
    for node in function.graph.inputs:
        _require_rank(node, node.type)
    types = [node.type for node in function.graph.inputs]
    return optimise(specialise(function.graph, types), function.settings.grade).graph


def onnx_model(function: Function, graph: Graph, provenance: bool = True) -> Any:
    """Return a compiled function as an ``onnx.ModelProto``, which has been checked.

    Parameters
    ----------
    function : Function
    graph : Graph
        As :func:`lowered` returns it.
    provenance : bool
    """
    onnx = import_module("onnx")
    helper = onnx.helper
    builder = OnnxBuilder(_origin if provenance else None)
    inputs = _Inputs(builder, function)
    names = _output_names(builder, function, graph)
    results = evaluate(builder, graph, inputs.values)
    found = [item for pair in zip(results, graph.outputs, strict=True) for item in _items(*pair)]
    outputs = [
        builder.value_info(builder.named(value, name), _dimensions(type_))
        for name, (value, type_) in zip(names, found, strict=True)
    ]
    made = helper.make_graph(
        builder.nodes, _name(function.name, "function"), inputs.declared, outputs, builder.constants
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="symad", producer_version=import_module("symad").__version__,
    )  # fmt: skip
    _require_space(builder)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise InternalError(f"the ONNX model of {function.name} is not valid: {error}") from error
    return model


def _require_rank(node: Node, type_: Type | None) -> None:
    if isinstance(type_, StructureType):
        for _, item in type_.fields:
            _require_rank(node, item)
    elif not isinstance(type_, TensorType) or not isinstance(type_.shape, tuple):
        raise ExportError(
            f"the input {node.label!r} is {type_}, and ONNX needs to know its number of axes",
            where=node.site.describe(),
            remedy='Declare its shape: sm.Variable("x", shape=()), or shape=("batch", 3), where a '
            "name or None is a size that may change.",
        )


def _require_space(builder: OnnxBuilder) -> None:
    total = sum(len(tensor.raw_data) for tensor in builder.constants)
    if total > _MOST_BYTES:
        raise ExportError(
            f"the parameters and constants take {total / 1e9:.1f} GB, and an ONNX file holds 2 GB",
            remedy="Make them inputs of the function.",
        )


# Names


def _name(text: str, otherwise: str) -> str:
    """Return text without control characters, which ONNX Runtime cannot read."""
    return visible(text) or otherwise


def _dimensions(type_: Type | None) -> list[int | str | None]:
    """Return sizes as ONNX declares them."""
    assert isinstance(type_, TensorType) and isinstance(type_.shape, tuple)
    return [_dimension(size) for size in type_.shape]


def _dimension(size: Any) -> int | str | None:
    if isinstance(size, str):
        return visible(size) or None
    return size if isinstance(size, int) else None


class _Inputs:
    """The inputs of a model, and what its graph takes.

    Attributes
    ----------
    values : list
        A value for each input of the graph.
    declared : list of onnx.ValueInfoProto
    """

    def __init__(self, builder: OnnxBuilder, function: Function) -> None:
        self._builder, self._updates = builder, function.updates
        self.declared: list[Any] = []
        self.values = [
            self._parameter(node)
            if isinstance(node, Parameter)
            else self._input(node.label, node.type)
            for node in function.graph.inputs
        ]

    def _input(self, label: str, type_: Type | None) -> Any:
        if isinstance(type_, StructureType):
            items = {key: self._input(f"{label}.{key}", item) for key, item in type_.fields}
            return items if type_.kind == "dict" else tuple(items.values())
        assert isinstance(type_, TensorType) and isinstance(type_.shape, tuple)
        dims = _dimensions(type_)
        shape = [size if isinstance(size, int) else None for size in dims]
        x = self._builder.placeholder(type_.dtype, shape, _name(label, "input"))
        self._builder.note_names(x, type_.shape)
        self.declared.append(self._builder.value_info(x, dims))
        return x

    def _parameter(self, node: Parameter) -> OnnxArray:
        name = self._builder.unique(_name(node.label, "parameter"))
        x = self._builder.stored(node.value, name)
        if node not in self._updates:
            return x
        dims = _dimensions(node.type)
        self.declared.append(self._builder.value_info(x, dims))
        return OnnxArray(
            self._builder, name, x.dtype, tuple(s if isinstance(s, int) else None for s in dims)
        )


def _output_names(builder: OnnxBuilder, function: Function, graph: Graph) -> list[str]:
    """Return the names of all arrays that the model returns; no other value may take them."""
    names = [name for name, _ in _leaves(function.outputs, "")]
    names += [f"{parameter.label}.new" for parameter in function.updates]
    return [
        builder.unique(_name(name, "output"))
        for start, node in zip(names, graph.outputs, strict=True)
        for name in _item_names(start, node.type)
    ]


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of the outputs with their names."""
    if not is_nested(value):
        yield name or "output", value
        return
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    start = name or ("" if isinstance(value, Mapping) else "output")
    for key, item in pairs:
        yield from _leaves(item, f"{start}.{key}" if start else str(key))


def _item_names(name: str, type_: Type | None) -> list[str]:
    """Return the names of the arrays in a value; an absent item is none."""
    if not isinstance(type_, StructureType):
        return [] if type_ is None else [name]
    return [item for key, inner in type_.fields for item in _item_names(f"{name}.{key}", inner)]


def _items(value: Any, like: Node) -> list[tuple[OnnxArray, Type]]:
    """Return the arrays in a value, with their types."""
    found: list[tuple[OnnxArray, Type]] = []
    pending: list[tuple[Any, Type | None]] = [(value, like.type)]
    while pending:
        value, type_ = pending.pop()
        if isinstance(type_, StructureType):
            pending += [(value[key], item) for key, item in reversed(type_.fields)]
        elif type_ is not None:
            found.append((value, type_))
    return found


def _origin(node: Node) -> str:
    """Return what a node is: its name, its role, its scope, and the user's line."""
    parts = [node.label, *node.scope]
    role = node.role
    if role is not None:
        where = "" if role.consumer is None else f" from {role.consumer.label}"
        parts.insert(1, f"{role.kind} of {role.node.label}{where}")
    place, line = node.site.place(short=True), node.site.source
    return visible(" | ".join([*parts, f"{place}: {line}" if line else place]), 500)
