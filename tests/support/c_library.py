"""A function exported to C, compiled to a shared library, and called with arrays."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import symad as sm

STRICT = "-std=c99 -O1 -Wall -Wextra -Werror -pedantic -fsanitize=undefined "
STRICT += "-fno-sanitize-recover=all -ffp-contract=off"
_CANARY = -123.456


class CFailure(Exception):
    """The message of a call that failed."""


class CLibrary:
    """``sm.export_c`` and a compiler, or ``sm.export_object`` and a linker.

    Parameters
    ----------
    f : Function
    folder : Path
    sizes : dict from str to int, optional
        As ``export_c`` takes them.
    flags : str
    source : str
        The name of the file that is exported.
    """

    def __init__(
        self, f: sm.Function, folder: Path, sizes: Mapping[str, int] | None = None,
        flags: str = STRICT, source: str = "model.c",
    ) -> None:  # fmt: skip
        file, library = folder / source, folder / "model.so"
        if source.endswith(".o"):
            sm.export_object(f, file)
        else:
            sm.export_c(f, file, sizes)
            self.text = file.read_text("ascii")
        self.header = (folder / "model.h").read_text("ascii")
        command = ["gcc", *flags.split(), "-shared", "-fPIC", "-o", str(library)]
        command += [str(file), "-lm"]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not made.returncode, made.stderr[:3000]
        self._code = ctypes.CDLL(str(library))
        self._code.model_work.restype = ctypes.c_int64

    def __call__(
        self, inputs: Sequence[Any], like: Sequence[Any], sizes: Sequence[int] | None = None
    ) -> list[Any]:
        """Return outputs of the dtypes and shapes of ``like``; nothing is written beyond them."""
        given = [np.ascontiguousarray(x) for x in inputs]
        made = [np.full(np.size(y) * y.dtype.itemsize + 8, 77, np.uint8) for y in like]
        numbers = None if sizes is None else (ctypes.c_int64 * len(sizes))(*sizes)
        work = np.full(self._code.model_work(numbers) + 1, _CANARY)
        pointers = [(ctypes.c_void_p * max(len(arrays), 1))(*[a.ctypes.data for a in arrays])
                    for arrays in (given, made)]  # fmt: skip
        message = ctypes.c_char_p()
        place = ctypes.c_void_p(work.ctypes.data)
        status = self._code.model(*pointers, place, numbers, None, ctypes.byref(message))
        assert work[-1] == _CANARY and all((a[-8:] == 77).all() for a in made), "out of bounds"
        if status:
            assert message.value is not None
            raise CFailure(message.value.decode())
        return [a[:-8].view(y.dtype).reshape(np.shape(y)) for a, y in zip(made, like, strict=True)]
