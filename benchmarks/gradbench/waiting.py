"""Run the suite's tool for JAX or PyTorch, unchanged, with results waited for inside the clock.

``python -m benchmarks.gradbench.waiting TOOL ROOT``: calls of JAX return before the result exists,
and some of the suite's functions stop the clock then.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def waited(result: Any) -> Any:
    """Return a result once it exists."""
    if "jax" in sys.modules:
        import jax

        return jax.block_until_ready(result)
    return result


def waiting(multiple_runs: Callable[..., Any]) -> Callable[..., Any]:
    """Return the suite's decorator of timed functions; what it times waits for the result."""

    def decorator(**settings: Any) -> Callable[..., Any]:
        decorate = multiple_runs(**settings)
        return lambda function: decorate(lambda given: waited(function(given)))

    return decorator


def main(tool: str, root: str) -> None:
    package = Path(root, "python", "gradbench")
    script = package / "gradbench" / "tools" / tool / "run.py"
    sys.path[:0] = [str(script.parent), str(package)]
    from gradbench import wrap

    wrap.multiple_runs = waiting(wrap.multiple_runs)
    sys.argv = [str(script)]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
