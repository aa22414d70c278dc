"""How the arguments of a call become the values of a function's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symad.errors import FeedError, did_you_mean
from symad.graph.nested import leaves, matching_leaves
from symad.graph.node import Node


class Binding:
    """The inputs of a compiled function, and how arguments are matched with them.

    Parameters
    ----------
    name : str
        The function's, for messages.
    inputs : nested structure of nodes
        A list or tuple stands for several arguments, anything else for one.

    Attributes
    ----------
    nodes : tuple of Node
        All inputs, flat.
    is_flat : bool
        Whether each argument is the value of a node.
    takes_out : bool
        Whether an input is named ``out``.
    """

    def __init__(self, name: str, inputs: Any) -> None:
        self.nodes: tuple[Node, ...] = tuple(leaves(inputs))
        self._function = name
        self._arguments: Sequence[Any] = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        self.takes_out = any(getattr(node, "label", "") == "out" for node in self._arguments)
        self.is_flat = all(isinstance(node, Node) for node in self._arguments)

    def values(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Sequence[Any]:
        """Return one value for each of :attr:`nodes`.

        Raises
        ------
        FeedError
            If an argument is missing, unknown or given twice, or has another structure than its
            input.
        """
        if keywords or len(args) != len(self._arguments):
            args = self._by_name(args, keywords)
        if self.is_flat:
            return args
        found: list[Any] = []
        for template, value in zip(self._arguments, args, strict=True):
            found += matching_leaves(template, value, "input", FeedError)
        return found

    def _by_name(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
        """Return all arguments in order, from positions and names."""
        names = [
            argument.label if isinstance(argument, Node) else f"input{i}"
            for i, argument in enumerate(self._arguments)
        ]
        if len(args) > len(names):
            raise FeedError(
                f"{self._function} takes {len(names)} inputs, but {len(args)} were given"
            )
        for name in keywords:
            self._check_name(name, names, len(args))
        missing = [name for name in names[len(args) :] if name not in keywords]
        if missing:
            raise FeedError(f"{self._function} was not given {', '.join(map(repr, missing))}")
        return (*args, *(keywords[name] for name in names[len(args) :]))

    def _check_name(self, name: str, names: list[str], given: int) -> None:
        if name not in names:
            raise FeedError(
                f"{self._function} has no input {name!r}.{did_you_mean(name, names)}",
                remedy=f"Its inputs are {', '.join(names)}.",
            )
        if names.count(name) > 1:
            raise FeedError(
                f"{self._function} has several inputs named {name!r}", remedy="Give positions."
            )
        if names.index(name) < given:
            raise FeedError(f"{self._function} was given {name!r} twice")
