"""export_c: a compiled function as a file of C99, and a header."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from symad.backends.base import Backend
from symad.errors import ExportError, ShapeError
from symad.export.c_function import unused
from symad.export.c_graph import function_text, has_code, places_of
from symad.export.c_memory import CFile
from symad.export.c_sizes import SizeFormulas, examples_of, least_sizes, template
from symad.export.c_text import c_name, comment, memory_type, string
from symad.export.functions import require_compiled
from symad.graph.collector import collector_paused
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.graph.op import explained
from symad.passes.specialise import specialise
from symad.passes.stack_bounds import stack_bounds
from symad.replacing import replacing
from symad.runtime.call_types import call_types, sized_types
from symad.runtime.function import Function
from symad.types import StructureType, Type

_SIGNATURE = (
    "int {name}(const double *const *in, double *const *out, double *work,\n"
    "    const int64_t *sizes, const void *reserved, const char **message)"
)
_WORK = "int64_t {name}_work(const int64_t *sizes)"


class _CTarget(Backend):
    """What the passes ask of a backend."""

    name = "c"
    fuses = True

    def supports(self, node: Node) -> bool:
        return has_code(node)


_TARGET = _CTarget()


@explained
def export_c(
    function: Function, path: str | os.PathLike[str], sizes: Mapping[str, int] | None = None
) -> None:
    """Write a compiled function as a file of C99, and a header beside it.

    The C function has the name of the file: ``model.c`` and ``model.h`` define ``int model(in, out,
    work, sizes, reserved, message)``, which returns 0 if all went well.  It needs the C library
    alone, allocates nothing and may run in several threads at once.

    Parameters
    ----------
    function : Function
        Its parameters are inputs after the others, their new values outputs after the others.
        Inputs that declare no shape have those of its latest call.
    path : str or path
        It ends in ``.c``.
    sizes : mapping from str to int, optional
        The sizes of named dimensions; the C function takes those of up to three others in its
        argument ``sizes``, in the order in which inputs declare them.

    Raises
    ------
    ExportError
        If C has nothing for an op, or a size is not known: the message names the node and your
        line, and nothing is written.

    Notes
    -----
    Elements are computed as by symad's other backends, up to the rounding of each op.  Compile with
    ``-ffp-contract=off`` for the same bits on machines that multiply and add in one instruction,
    and without ``-ffast-math``, which assumes that there are no NaN.

    Examples
    --------
    >>> import os, tempfile
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> f = sm.compile([x], sm.sin(x) * x)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sm.export_c(f, os.path.join(folder, "model.c"))
    ...     sorted(os.listdir(folder))
    ['model.c', 'model.h']
    """
    require_compiled(function)
    stem, name = stem_and_name(path, ".c")
    with collector_paused():
        texts = source_of(function, name, sizes or {})
    write_together({f"{stem}.h": texts[1].encode("ascii"), f"{stem}.c": texts[0].encode("ascii")})


def stem_and_name(path: str | os.PathLike[str], ending: str) -> tuple[str, str]:
    """Return a path without its ending, and the name of the function in that file.

    Raises
    ------
    ExportError
        If it has another ending, or no function in C can be called so.
    """
    stem, extension = os.path.splitext(os.fspath(path))
    if extension != ending:
        raise ExportError(
            f"{os.fspath(path)!r} does not end in {ending}", remedy=f"Such as model{ending}."
        )
    return stem, c_name(os.path.basename(stem))


def source_of(function: Function, name: str, sizes: Mapping[str, int]) -> tuple[str, str]:
    """Return the text of the file, and that of its header."""
    dims = _open_dims(function, sizes)
    if dims:
        return _with_sizes(function, name, sizes, dims)
    graph, file = graph_of(function, sizes), CFile(name)
    return _file_text(file, functions_of(file, graph)), header_text(name, graph, [])


def _open_dims(function: Function, sizes: Mapping[str, int]) -> list[str]:
    """Return the names of dimensions without a size, in the order in which inputs declare them."""
    shapes: list[Any] = []
    for type_ in call_types(function.graph, function.latest_types()):
        shapes += [item.shape for item in _tensors(type_)]
    dims = dict.fromkeys(dim for shape in shapes for dim in shape if isinstance(dim, str))
    return [dim for dim in dims if dim not in sizes]


def _tensors(type_: Type | None) -> list[Any]:
    """Return the type of each array in a type."""
    if isinstance(type_, StructureType):
        return [tensor for _, item in type_.fields for tensor in _tensors(item)]
    return [type_]


def graph_of(function: Function, sizes: Mapping[str, int]) -> Graph:
    """Return the optimised graph of a function, with loop nests."""
    return function.final_graph(_types_of(function, sizes), _TARGET)


def _types_of(function: Function, sizes: Mapping[str, int]) -> list[Type]:
    return sized_types(function.graph, function.latest_types(), sizes)


def functions_of(file: CFile, graph: Graph) -> str:
    """Return the text of the functions of a graph, without the helpers that they call."""
    file.bounds = stack_bounds(graph)
    body, work = function_text(file, file.name, graph)
    if file.is_open:
        body = "\n".join([*map(_guard, file.guards), body])
    ignored = unused(body, ("in", "out", "work", "sizes", "reserved", "message"))
    parts = [
        *file.functions,
        f"{_WORK.format(name=file.name)} {{\n  (void)sizes;\n  return {work};\n}}\n",
        f"{_SIGNATURE.format(name=file.name)} {{\n{ignored}{body}\n  return 0;\n}}",
    ]
    text = "\n".join(parts) + "\n"
    return "\n".join([*file.constants(text), text])


def _guard(condition: str) -> str:
    return f'  if (!({condition})) return fail(message, "a size is too small");'


# Sizes as arguments


def _with_sizes(
    function: Function, name: str, sizes: Mapping[str, int], dims: Sequence[str]
) -> tuple[str, str]:
    """Return the texts of files in which the sizes of some dimensions are arguments."""
    examples = examples_of(dims)
    texts, headers, file = [], [], CFile(name, is_open=True)
    file.helpers.function("fail")
    numbers = [tuple(example.values()) for example in examples]
    formulas = SizeFormulas([f"d{k}" for k in range(len(dims))], numbers)
    try:
        least = least_sizes(
            dims, examples, formulas,
            lambda more: specialise(function.graph, _types_of(function, {**sizes, **more})),
        )  # fmt: skip
        for example in examples:
            graph = graph_of(function, {**sizes, **example})
            file = CFile(name, file.helpers, is_open=True)
            texts.append(functions_of(file, graph))
            headers.append(header_text(name, graph, [*zip(dims, least, strict=True)]))
    except ShapeError as error:
        raise ExportError(
            f"dimensions must be of one size: {error.message}", where=error.where,
            remedy=f"Give the sizes of {', '.join(dims)}: sm.export_c(f, path, sizes=...).",
        ) from None
    body = _declared(template(texts, formulas), [*zip(dims, least, strict=True)])
    in_words = SizeFormulas([re.sub(r"\W", "_", dim, flags=re.ASCII) for dim in dims], numbers)
    return _file_text(file, body), template(headers, in_words)


def _declared(text: str, dims: Sequence[tuple[str, int]]) -> str:
    """Return functions that take the sizes that they use from their argument, once checked."""
    checks = ['  if (!sizes) return fail(message, "sizes is NULL");']
    for k, (dim, least) in enumerate(dims):
        words = string(f"the size of {dim!r} is less than {least}")
        checks.append(f"  if (sizes[{k}] < {least}) return fail(message, {words});")
    made = []
    for function in re.split(r"(?<=\n}\n)", text):
        head, brace, body = function.partition(") {\n")
        used = [k for k in range(len(dims)) if re.search(rf"\bd{k}\b", body)]
        lines = [f"  const int64_t d{k} = sizes[{k}];" for k in used]
        if "const void *reserved" in head:
            lines = [*checks, *lines]
        if lines and brace:
            body = "\n".join([*lines, body.replace("  (void)sizes;\n", "", 1)])
        made.append(head + brace + body)
    return "".join(made)


# Text


def _file_text(file: CFile, functions: str) -> str:
    name = file.name
    head = [
        f"/* Generated by symad.  Compile: cc -std=c99 -O3 -ffp-contract=off -c {name}.c */",
        f'#include "{name}.h"\n#include <math.h>\n#include <string.h>\n',
    ]
    return "\n".join([*head, *file.helpers.texts(), functions])


def header_text(name: str, graph: Graph, dims: Sequence[tuple[str, int]]) -> str:
    """Return the header of a function; ``dims`` are sizes that it takes, and their least values."""
    guard = f"SYMAD_{name.upper()}_H"
    free = "reserved" if dims else "sizes, reserved"
    lines = [*_listed("in", graph.inputs), *_listed("out", graph.outputs)]
    lines += [f"sizes[{k}]: {dim}, at least {n}" for k, (dim, n) in enumerate(dims)]
    table = "\n".join(comment(line) for line in lines)
    return f"""\
#ifndef {guard}
#define {guard}
#include <stdint.h>
#ifdef __cplusplus
extern "C" {{
#endif

/* Arrays are in C order; outputs overlap neither inputs nor each other.  A pointer to another type
   than double is cast: in[0] = (const double *)x; bool is uint8_t, 0 or 1; float16 is uint16_t,
   its bits.
   work has {name}_work(sizes) doubles: one array for each thread.
   {free} and message may be NULL.  If it returns 1, *message says why. */
{table}
{_SIGNATURE.format(name=name)};

/* The number of doubles in work. */
{_WORK.format(name=name)};

#ifdef __cplusplus
}}
#endif
#endif
"""


def _listed(name: str, nodes: Sequence[Node]) -> Iterator[str]:
    """Yield what each pointer points to."""
    places = [place for node in nodes for place in places_of(node)]
    for k, (node, keys) in enumerate(places):
        type_: Any = node.type
        for key in keys:
            type_ = dict(type_.fields)[key]
        path = "".join(f"[{key!r}]" for key in keys)
        ends = "".join(f"[{size}]" for size in type_.shape)
        label = node.name or (node.op.name if node.op else "")
        kind = "float16 " if type_.dtype == "float16" else ""
        yield f"{name}[{k}]: {kind}{memory_type(type_.dtype)}{ends} {label}{path}"


# Files


def write_together(files: Mapping[str, bytes]) -> None:
    """Write files, each of which takes the place of an old one when all are complete."""
    with ExitStack() as stack:
        for path, data in reversed([*files.items()]):  # the first one is replaced first
            stack.enter_context(replacing(path)).write(data)
