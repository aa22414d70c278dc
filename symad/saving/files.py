"""save, load and fingerprint: compiled functions and nodes as files of data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from inspect import signature
from typing import IO, Any, cast

import numpy as np

from symad.backends.base import Backend, BackendName, Settings
from symad.backends.select import BACKENDS, choose_backend
from symad.errors import SavedGraphError, SymadError
from symad.graph.collector import collector_paused
from symad.graph.graph import Graph
from symad.graph.nested import leaves
from symad.graph.node import Node, Parameter
from symad.graph.op import explained
from symad.passes.grade import Grade
from symad.records import dataclass
from symad.replacing import replacing
from symad.runtime.function import Function
from symad.saving.archive import (
    Member,
    as_json,
    as_npy,
    digest,
    from_json,
    from_npy,
    read_archive,
    write_archive,
)
from symad.saving.attributes import check_keys, part, shown
from symad.saving.origins import Origins, write_provenance
from symad.saving.reader import GraphReader, agree_in_shape, count_nodes, within
from symad.saving.structures import read_structure, write_structure
from symad.saving.writer import Array, GraphTables, write_value
from symad.visible import visible

FORMAT = "symad saved graph"
VERSION = 1

_SETTINGS = tuple(signature(Settings).parameters)

OUTSIDE = "outside/"
"""The folder of arrays that belong to nodes outside the graph, to which roles refer."""
_MEANING = ("graph.json", "constants/")
"""What the names of members begin with that are part of the meaning."""


@dataclass(frozen=True)
class Fingerprint:
    """Two hashes of what is saved: SHA-256, as hexadecimal numbers.

    They are the same in every process and on every machine.

    Attributes
    ----------
    meaning : str
        Of what is computed: ops and their attributes, types, constants, and the names and the
        structure of inputs and outputs.
    content : str
        Of everything in the file: also the provenance, the values of parameters, the settings and
        the name of the function.
    """

    meaning: str
    content: str


@explained
def save(
    value: Any, path: str | os.PathLike[str] | IO[bytes], provenance: bool = True
) -> Fingerprint:
    """Save a compiled function, nodes or a graph as data, in one file.

    The file is a zip archive of JSON and NumPy's arrays: ``docs/saved_graphs.md`` describes it.
    The same program gives the same bytes.

    Parameters
    ----------
    value : Function, Node, nested structure of nodes, or Graph
        A function is saved with its settings, and the values of its parameters.
    path : path, or a file open for writing bytes
    provenance : bool
        Whether source lines with their paths, scopes, names of inner nodes, and roles in
        derivatives are saved, so that pictures, explanations and errors are the same.

    Returns
    -------
    Fingerprint
        The hashes of what was saved; see :func:`fingerprint`.

    Raises
    ------
    SavedGraphError
        If something is not data: rules of :func:`custom`, which are Python code, or attributes of
        your own ops.  The message names the node and your line.

    Examples
    --------
    >>> import io
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=("n",))
    >>> file = io.BytesIO()
    >>> found = sm.save(sm.compile([x], [sm.sum(x * x), 2 * x]), file)
    >>> sm.load(file)([3.0, 4.0])
    [np.float64(25.0), array([6., 8.])]
    """
    members, found = _members(value, provenance)
    if hasattr(path, "write"):
        write_archive(cast(IO[bytes], path), members)
        return found
    with replacing(path) as file:
        write_archive(file, members)
    return found


@explained
def fingerprint(value: Any, provenance: bool = True) -> Fingerprint:
    """Return two hashes of a compiled function, nodes or a graph: of its meaning, and of it all.

    Programs with the same ``meaning`` compute the same, if their parameters have the same values:
    results may be cached under it, and processes may compare it.

    Parameters
    ----------
    value : Function, Node, nested structure of nodes, or Graph
    provenance : bool
        Whether ``content`` covers source lines, scopes and roles; ``meaning`` never does.

    Returns
    -------
    Fingerprint

    Raises
    ------
    SavedGraphError
        As for :func:`save`.

    Examples
    --------
    >>> import symad as sm
    >>> def squares(name):
    ...     x = sm.Variable(name, shape=("n",))
    ...     return sm.fingerprint(sm.compile([x], x * x)).meaning
    >>> squares("x") == squares("x"), squares("x") == squares("y")
    (True, False)
    """
    return _members(value, provenance)[1]


@explained
def load(
    path: str | os.PathLike[str] | IO[bytes], backend: BackendName | Backend | None = None
) -> Any:
    """Return what :func:`save` saved: a compiled function, nodes in their structure, or a graph.

    Nothing in the file is run or imported, and every node is checked.  A function is compiled again
    at its first call.

    Parameters
    ----------
    path : path, or a file open for reading bytes, in which it is possible to seek
    backend : {"auto", "numpy", "native", "jax"} or Backend, optional
        Another backend for the function than the one it was compiled for.

    Returns
    -------
    Function, nested structure of nodes, or Graph

    Raises
    ------
    SavedGraphError
        If the file is not a saved graph of a known version, has unknown ops, or is damaged.  The
        message says where: the member, the node and the attribute.
    GraphTypeError
        If the backend is not available.

    Examples
    --------
    >>> import io
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> file = io.BytesIO()
    >>> _ = sm.save({"y": sm.sin(x)}, file)
    >>> sm.load(file)
    {'y': <sin: f64[...]>}
    """
    chosen = None if backend is None else choose_backend(backend)
    if hasattr(path, "read"):
        return _load(cast(IO[bytes], path), getattr(path, "name", "the file"), chosen)
    with open(os.fspath(path), "rb") as file:  # a number would be a file that is open already
        return _load(file, path, chosen)


# Writing


def _members(value: Any, provenance: bool) -> tuple[dict[str, Member], Fingerprint]:
    """Return the members of a file, and the hashes of them."""
    with collector_paused():
        graph, state = _graph_of(value)
        tables = GraphTables(graph)
        result = _result(value, tables)
        data = {"types": tables.types, "ops": tables.ops, "graphs": tables.graphs}
        members = {"graph.json": as_json({**data, "result": result}), **_arrays_of(tables)}
        members |= _with_values("state.json", state, tables.parameters, "")
        if provenance:
            data, parameters = write_provenance(tables)
            members |= _with_values("provenance.json", data, parameters, OUTSIDE)
            members |= _arrays_of(tables)
    found = Fingerprint(*hashes_of(members))
    hashes = {"meaning": found.meaning, "content": found.content}
    head = {"format": FORMAT, "version": VERSION, **hashes}
    return {"symad.json": as_json(head), **members}, found


def _graph_of(value: Any) -> tuple[Graph, dict[str, Any]]:
    """Return the graph of what is saved, and what else is to be kept of it."""
    if isinstance(value, Function):
        settings = {name: _write_setting(getattr(value.settings, name)) for name in _SETTINGS}
        for name in ("device", "mesh"):
            if not settings[name]:
                del settings[name]
        return value.graph, {"name": value.name, "settings": settings}
    if isinstance(value, Graph):
        return value, {}
    for node in leaves(value):
        if not isinstance(node, Node):
            raise SavedGraphError(
                f"{node!r:.60} is not a node",
                remedy="Save a compiled function, a node, or a tuple, list or dict of nodes.",
            )
    return Graph(leaves(value)), {}


def _write_setting(value: Any) -> Any:
    if isinstance(value, Grade):
        return value.name.lower()
    if isinstance(value, tuple):
        return dict(value)
    if not isinstance(value, Backend):
        return value
    if BACKENDS.get(getattr(value, "name", "")) is not value:
        raise SavedGraphError(
            f"the backend {value!r} is not registered",
            remedy="Register it with symad.backends.select.register_backend.",
        )
    return value.name


def _result(value: Any, tables: GraphTables) -> dict[str, Any]:
    """Return the structure in which the nodes of the last graph are inputs and outputs."""
    if isinstance(value, Graph):
        return {"graph": None}
    index = {node: k for k, node in enumerate(tables.places[-1])}
    if not isinstance(value, Function):
        return {"nodes": write_structure(tables, value, index)}
    return {
        "function": {
            "inputs": write_structure(tables, value.inputs, index),
            "outputs": write_structure(tables, value.outputs, index),
            "updates": [index[parameter] for parameter in value.updates],
        }
    }


def _with_values(
    name: str, data: dict[str, Any], parameters: Sequence[Parameter], folder: str
) -> dict[str, Member]:
    """Return the member that holds ``data`` and the values of parameters, and their arrays."""
    with ExitStack() as held:
        for parameter in sorted(parameters, key=id):  # as functions do
            held.enter_context(parameter.lock)
        arrays = [parameter.value for parameter in parameters]
    large: list[Array] = []
    data["parameters"] = [write_value(array, f"{folder}parameters", large) for array in arrays]
    return {name: as_json(data), **_npy_members(f"{folder}parameters", large)}


def _arrays_of(tables: GraphTables) -> dict[str, Member]:
    """Return the members of the constants written since the last call."""
    made = _npy_members(f"{tables.folder}constants", tables.constants)
    tables.folder, tables.constants = OUTSIDE, []
    return made


def _npy_members(folder: str, arrays: Sequence[Array]) -> dict[str, Member]:
    return {f"{folder}/{number}.npy": as_npy(array) for number, array in enumerate(arrays)}


# Reading


def _load(file: IO[bytes], name: Any, backend: Backend | None) -> Any:
    with within(visible(str(name), 200)), collector_paused():
        members = read_archive(file)
        _check_head(members)
        arrays = _Arrays(members)
        data = _json(members, "graph.json", "types ops graphs result")
        is_function = "function" in part(data, "result", dict)
        keys = f"{'name settings ' if is_function else ''}parameters"
        state = _json(members, "state.json", keys)
        reader = GraphReader(arrays.take)
        origins = None
        if "provenance.json" in members:
            more = _json(members, "provenance.json", _PROVENANCE)
            with within("provenance.json"):
                outside = part(more, "outside", list)
                count = count_nodes(data) + count_nodes(more) + len(outside)
                origins = Origins(more, count)
                reader.use(origins.creations, origins.names, origins.shared)
        with within("graph.json"):
            graph = reader.read(data, part(state, "parameters", list))
        with within("graph.json: result"):
            made = _made(part(data, "result", dict), graph, state, reader, backend)
        if origins is not None:
            with within("provenance.json"):
                reader.read(more, part(more, "parameters", list), outside)
                origins.set_roles(reader.nodes)
        reader.finish()
        arrays.finish()
        return made


def _json(members: dict[str, bytes], name: str, keys: str) -> Any:
    if name not in members:
        raise SavedGraphError(f"it has no member {name}")
    data = from_json(name, members.pop(name))
    with within(name):
        check_keys(data, keys)
    return data


_PROVENANCE = (
    "types ops graphs outside parameters files lines line scopes scope names shared roles"
)


def hashes_of(members: Mapping[str, Member]) -> tuple[str, str]:
    """Return the hashes of the meaning and the content of a file, for its members but the first."""
    own = {name: data for name, data in members.items() if name.startswith(_MEANING)}
    more = {name: data for name, data in members.items() if name not in own}
    meaning = digest(own.items())
    return meaning, digest([("meaning", [meaning.encode("ascii")]), *more.items()])


def _check_head(members: dict[str, bytes]) -> None:
    """Check the format, the version and the hashes."""
    if "symad.json" not in members:
        raise SavedGraphError("it is an archive of something else: it has no member symad.json")
    with within("symad.json"):
        head = from_json("symad.json", members.pop("symad.json"))
        if part(head, "format", str) != FORMAT:
            raise SavedGraphError(f"the format is {shown(head['format'])}")
        if part(head, "version", int) != VERSION:
            raise SavedGraphError(
                f"the version of the format is {shown(head['version'])}; this symad reads "
                f"version {VERSION}",
                remedy="Load it with the symad that saved it, or a newer one.",
            )
        check_keys(head, "format version meaning content")
        found = hashes_of({name: [data] for name, data in members.items()})
        for key, right in zip(("meaning", "content"), found, strict=True):
            if part(head, key, str) != right:
                raise SavedGraphError(f"the hash of the {key} is another: the file is damaged")


class _Arrays:
    """The arrays of a file, each of which must be used."""

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self._members = members
        self._read: dict[str, Array] = {}

    def take(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """Return an array, which must be of a type."""
        found = self._read.get(name)
        if found is None and name in self._members:
            found = self._read[name] = from_npy(name, self._members[name], dtype, shape)
        if found is None or found.dtype != dtype or found.shape != shape:
            raise SavedGraphError(f"there is no array {shown(name)} of dtype {dtype} and {shape}")
        return found

    def finish(self) -> None:
        """Check that all were used."""
        for name in self._members:
            if name not in self._read:
                raise SavedGraphError(f"{name}: nothing uses it")


def _made(
    result: dict[str, Any], graph: Graph, state: Any, reader: GraphReader, backend: Backend | None
) -> Any:
    """Return what was saved, of which ``graph`` is the graph."""
    nodes = list(dict.fromkeys([*graph.inputs, *graph.nodes]))
    kind = next(iter(result), "")
    if kind == "function" and len(result) == 1:
        return _function(result["function"], graph, nodes, state, reader, backend)
    if kind == "graph" and len(result) == 1:
        return graph
    if kind != "nodes" or len(result) != 1:
        raise SavedGraphError("it is not a function, nodes or a graph")
    made = read_structure(reader, result["nodes"], nodes)
    if tuple(leaves(made)) != graph.outputs:
        raise SavedGraphError("the nodes are not the outputs of the graph")
    return made


def _function(
    data: Any,
    graph: Graph,
    nodes: Sequence[Node],
    state: Any,
    reader: GraphReader,
    backend: Backend | None,
) -> Function:
    check_keys(data, "inputs outputs updates")
    inputs, outputs = (
        read_structure(reader, part(data, key, object), nodes) for key in ("inputs", "outputs")
    )
    fed, fetched = tuple(leaves(inputs)), tuple(leaves(outputs))
    rest, new = graph.inputs[len(fed) :], graph.outputs[len(fetched) :]
    updates: list[Any] = part(data, "updates", list)
    if fed + rest != graph.inputs or fetched + new != graph.outputs or len(new) != len(updates):
        raise SavedGraphError("it has other inputs or outputs than its graph")
    updated = [read_structure(reader, number, nodes) for number in updates]
    stored = dict(zip(updated, new, strict=True))
    if len(stored) != len(new) or not all(isinstance(p, Parameter) for p in (*rest, *stored)):
        raise SavedGraphError("an input that is not an argument is not a parameter")
    for parameter, value in stored.items():
        if not agree_in_shape(parameter.type, value.type):
            raise SavedGraphError(f"{parameter.name!r} cannot become {value.type}")
    settings = _read_settings(part(state, "settings", dict), backend)
    return Function(graph, inputs, outputs, stored, settings, part(state, "name", str))


def _read_settings(data: dict[str, Any], backend: Backend | None) -> Settings:
    if unknown := [key for key in data if key not in _SETTINGS]:
        raise SavedGraphError(f"state.json: there is no setting {shown(unknown[0])}")
    if backend is None:
        try:
            backend = choose_backend(part(data, "backend", str))
        except SymadError as error:
            raise SavedGraphError(
                f"state.json: {error.message}", remedy='Load it with load(path, backend="numpy").'
            ) from None
    defaults = Settings(backend)
    found: dict[str, Any] = {"backend": backend}
    for key in _SETTINGS[1:]:
        default = getattr(defaults, key)
        value = data.get(key, _write_setting(default))
        if isinstance(default, Grade):
            value = {grade.name.lower(): grade for grade in Grade}.get(part(data, key, str))
        elif isinstance(default, tuple):
            value = _read_mesh(value)
        if type(value) is not type(default) or (type(value) is int and value < 1):
            raise SavedGraphError(f"state.json: the setting {key} is {shown(data[key])}")
        found[key] = value
    if not backend.has_devices:
        found |= {key: getattr(defaults, key) for key in ("device", "mesh")}
    return Settings(**found)


def _read_mesh(data: Any) -> Any:
    """Return a mesh as settings hold it; something else if it is none."""
    is_mesh = isinstance(data, dict) and all(type(n) is int and n > 0 for n in data.values())
    return tuple(data.items()) if is_mesh else data
