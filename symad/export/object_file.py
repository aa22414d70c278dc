"""export_object: a compiled function of few numbers as machine code for linkers, and a header."""

from __future__ import annotations

import os

from symad.backends.native.c_pointer import object_code
from symad.export.c_file import header_text, stem_and_name, write_together
from symad.export.functions import require_compiled
from symad.graph.op import explained
from symad.runtime.function import Function


@explained
def export_object(function: Function, path: str | os.PathLike[str]) -> None:
    """Write a compiled function of few numbers as an object file, and a C header beside it.

    ``model.o`` and ``model.h`` define the function ``model``, which is called as that of
    :func:`symad.export_c`, and needs no compiler: a linker adds it to a program, with ``-lm``.  It
    allocates nothing, needs no ``work``, and may run in several threads at once.

    Parameters
    ----------
    function : Function
        Of float64, with at most 64 numbers in an array.  Its parameters are inputs after the
        others, their new values outputs after the others.  Inputs that declare no shape have those
        of its latest call.
    path : str or path
        It ends in ``.o``.

    Raises
    ------
    ExportError
        If there is no such code for the function; nothing is written.

    Notes
    -----
    The file is for the operating system of this machine, and for all processors of its family.  The
    bits are those of native code.

    Examples
    --------
    >>> import os, tempfile
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> y = sm.sin(x) * x
    >>> f = sm.compile([x], [y, sm.gradients(y, x)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sm.export_object(f, os.path.join(folder, "model.o"))
    ...     sorted(os.listdir(folder))
    ['model.h', 'model.o']
    """
    require_compiled(function)
    stem, name = stem_and_name(path, ".o")
    graph = function.pointer_graph("object file")
    code = object_code(graph, name, function.settings.fastmath)
    header = header_text(name, graph, []).encode("ascii")
    write_together({f"{stem}.h": header, f"{stem}.o": code})
