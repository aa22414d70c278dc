"""Functions exported to C, compiled together, and run in a process of their own.

The compiler takes warnings for errors and checks memory and undefined behaviour at run time.
"""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.export.c_file import functions_of, graph_of
from symad.export.c_graph import places_of
from symad.export.c_helpers import CHelpers
from symad.export.c_memory import CFile
from symad.graph.graph import Graph
from symad.types import StructureType

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

CHECKED = "-std=c99 -O1 -Wall -Wextra -Werror -pedantic -fsanitize=address,undefined "
CHECKED += "-fno-sanitize-recover=all -ffp-contract=off"

_HEAD = """\
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
"""

_MAIN = """
typedef int (*Run)(const double *const *, double *const *, double *, const int64_t *, const void *,
                   const char **);
typedef int64_t (*Work)(const int64_t *);
static const Run runs[] = {%s};
static const Work works[] = {%s};

static int64_t number(void) {
  int64_t n;
  if (fread(&n, 8, 1, stdin) != 1) exit(0);
  return n;
}

int main(void) {
  for (;;) {
    const int64_t which = number(), inputs = number(), outputs = number();
    double *in[64], *out[64];
    int64_t sizes[64];
    const char *message = "";
    for (int64_t k = 0; k < inputs; k++) {
      const int64_t size = number();
      in[k] = malloc(size ? size : 1);
      if (fread(in[k], 1, size, stdin) != (size_t)size) return 2;
    }
    for (int64_t k = 0; k < outputs; k++) {
      sizes[k] = number();
      out[k] = malloc(sizes[k] ? sizes[k] : 1);
      memset(out[k], 0xff, sizes[k] ? sizes[k] : 1);
    }
    double *work = malloc(8 * works[which](NULL) + 1);
    const int64_t status =
        runs[which]((const double *const *)in, out, work, NULL, NULL, &message);
    const int64_t length = strlen(message);
    fwrite(&status, 8, 1, stdout);
    fwrite(&length, 8, 1, stdout);
    fwrite(message, 1, length, stdout);
    for (int64_t k = 0; k < outputs; k++) fwrite(out[k], 1, sizes[k], stdout), free(out[k]);
    for (int64_t k = 0; k < inputs; k++) free(in[k]);
    free(work);
  }
}
"""


class CProgram:
    """Several functions in one program.

    Parameters
    ----------
    graphs : dict from str to Graph
        Optimised graphs by the names of their functions.
    folder : Path
        Where it is compiled.
    flags : str
        For the compiler.
    """

    def __init__(self, graphs: Mapping[str, Graph], folder: Path, flags: str = CHECKED) -> None:
        self.graphs = list(graphs.values())
        helpers = CHelpers()
        functions = [functions_of(CFile(name, helpers), graph) for name, graph in graphs.items()]
        lists = [", ".join(f"{name}{end}" for name in graphs) for end in ("", "_work")]
        text = "\n".join([_HEAD, *helpers.texts(), *functions, _MAIN % tuple(lists)])
        source, self._program = folder / "program.c", folder / "program"
        source.write_text(text, "ascii")
        command = ["gcc", *flags.split(), "-o", str(self._program), str(source), "-lm"]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not made.returncode, made.stderr[:4000]

    def run(self, calls: Sequence[tuple[int, Sequence[Any]]]) -> list[Any]:
        """Return the outputs of each call, or the message of its error.

        An output is an array, or a list of those in a structure.

        A call is the number of a function and the values of the inputs of its graph.
        """
        given = b"".join(self._encoded(*call) for call in calls)
        done = subprocess.run([str(self._program)], input=given, capture_output=True, check=False)
        assert not done.returncode, done.stderr.decode()[:4000]
        stream = io.BytesIO(done.stdout)
        return [self._decoded(which, stream) for which, _ in calls]

    def _types(self, which: int) -> list[Any]:
        types = []
        for node in self.graphs[which].outputs:
            for _, keys in places_of(node):
                type_: Any = node.type
                for key in keys:
                    type_ = dict(type_.fields)[key]
                types.append(type_)
        return types

    def _encoded(self, which: int, values: Sequence[Any]) -> bytes:
        inputs = [np.ascontiguousarray(value).tobytes() for value in flat(values)]
        sizes = [t.size * t.dtype.itemsize for t in self._types(which)]
        words = struct.pack("<qqq", which, len(inputs), len(sizes))
        arrays = b"".join(struct.pack("<q", len(data)) + data for data in inputs)
        return words + arrays + struct.pack(f"<{len(sizes)}q", *sizes)

    def _decoded(self, which: int, stream: io.BytesIO) -> Any:
        status, length = struct.unpack("<qq", stream.read(16))
        message = stream.read(length).decode()
        arrays = [
            np.frombuffer(stream.read(t.size * t.dtype.itemsize), t.dtype).reshape(t.shape)
            for t in self._types(which)
        ]
        if status:
            return message
        rest = iter(arrays)
        return [
            [next(rest) for _ in places_of(node)] if node.type.__class__ is StructureType
            else next(rest)
            for node in self.graphs[which].outputs
        ]


def flat(values: Any) -> list[Any]:
    """Return the arrays in values, those of a structure in the order of its items."""
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, (list, tuple)):
        return [values]
    return [array for value in values for array in flat(value)]


def graph_in_c(f: sm.Function, arrays: Sequence[Any] = ()) -> Graph:
    """Return the graph of a function for C, with the sizes of values if they are given."""
    sizes: dict[str, int] = {}
    if arrays:
        f.specialised(f.arguments(*arrays))
        for node, array in zip(f.graph.inputs, arrays, strict=False):
            dims = getattr(node.type, "shape", ())
            if isinstance(dims, tuple):
                sizes.update(zip(dims, np.shape(array), strict=True))
    return graph_of(f, sizes)
