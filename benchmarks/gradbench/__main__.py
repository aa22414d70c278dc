"""The tool: ``python -m benchmarks.gradbench`` answers the messages of an eval, line by line."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

from benchmarks.gradbench.timed_call import TimedCall

Message = dict[str, Any]


def define(message: Message) -> Message:
    """Load the program of an eval."""
    importlib.import_module(f"benchmarks.gradbench.programs.{message['module']}")
    return {"success": True}


def evaluate(message: Message) -> Message:
    """Run one function of a program as often as the eval asks for."""
    module = importlib.import_module(f"benchmarks.gradbench.programs.{message['module']}")
    given = message["input"]
    repeats = given if isinstance(given, dict) else {}
    call: TimedCall = getattr(module, message["function"])(given)
    output, times = call.run(repeats.get("min_runs", 1), repeats.get("min_seconds", 0))
    timings = [{"name": "evaluate", "nanoseconds": time} for time in times]
    return {"success": True, "output": output, "timings": timings}


ANSWERS: dict[str, Callable[[Message], Message]] = {
    "start": lambda message: {"tool": "symad"},
    "define": define,
    "evaluate": evaluate,
}


def respond(message: Message) -> Message:
    """Return the response to a message; an exception is an answer too."""
    answer = ANSWERS.get(message["kind"], lambda message: {})
    try:
        return {"id": message["id"]} | answer(message)
    except Exception:
        return {"id": message["id"], "success": False, "error": traceback.format_exc()}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(respond(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
