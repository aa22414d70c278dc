"""Models of ONNX, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np


def session_of(model: Any) -> Any:
    """Return a session of a model, on one thread and without its messages."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return runtime.InferenceSession(model.SerializeToString(), options)


def outputs_of(session: Any, feed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of a session by name."""
    names = [output.name for output in session.get_outputs()]
    given = {name: np.asarray(value) for name, value in feed.items()}
    return dict(zip(names, session.run(names, given), strict=True))


def run_model(model: Any, arrays: Sequence[Any]) -> dict[str, Any]:
    """Return the outputs of a model for values of its first inputs, by name."""
    names = [x.name for x in model.graph.input]
    return outputs_of(session_of(model), dict(zip(names, arrays, strict=False)))
