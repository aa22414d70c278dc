"""The exercises at the end of each notebook: :func:`check` says whether an answer is right."""

from symad.demo.exercises import (
    compiling,
    digits,
    eager_words,
    extending,
    four_ways,
    papers,
    passes,
    running,
    second_order,
    structures,
    tensors,
    writing_ops,
)
from symad.demo.exercises.answers import Verdict, check

__all__ = [
    "Verdict",
    "check",
    "compiling",
    "digits",
    "eager_words",
    "extending",
    "four_ways",
    "papers",
    "passes",
    "running",
    "second_order",
    "structures",
    "tensors",
    "writing_ops",
]
