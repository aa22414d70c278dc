"""Solutions of equations, with derivatives by the implicit function theorem.

Where r(x, p) = 0 defines x as a function of p, ∂r/∂x dx + ∂r/∂p dp = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.functions.loops import while_loop
from symad.graph.node import Node
from symad.graph.op import call
from symad.graph.operators import FUNCTIONS
from symad.graph.provenance import isolated, tracing
from symad.ops.adjoint import identity, reshape_like
from symad.ops.base import register, tensor_types
from symad.ops.body import called, close_over, inline, placeholder
from symad.ops.control import custom
from symad.ops.structure import flat_nodes, nest


@register
def implicit(
    residual: Callable[..., Any], solver: Callable[..., Any], name: str = "implicit"
) -> Callable[..., Any]:
    """Return the function of the parameters that ``solver`` computes, a root of ``residual``.

    Its derivatives, of any order, follow from the residual alone; the solver is not differentiated.

    Parameters
    ----------
    residual : callable
        ``residual(x, *parameters)`` returns as many elements as x has; it may use other nodes.
    solver : callable
        ``solver(*parameters)`` returns x, a node or a nested structure of nodes, at which the
        residual is 0.
    name : str
        The name of the solution in pictures and tables.

    Returns
    -------
    callable

    Raises
    ------
    ShapeError
        If the residual has more or fewer elements than x.

    Examples
    --------
    >>> import symad as sm
    >>> p = sm.Variable("p", shape=())
    >>> root = sm.implicit(lambda x, p: x * x - p, lambda p: sm.sqrt(p))
    >>> sm.gradients(root(p), p).eval({p: 4.0})
    np.float64(0.25)
    """

    @isolated
    def solve(*parameters: Any) -> Any:
        equation = _Equation(residual, parameters, called("the solver", solver, *parameters))
        return _solution(equation, solver, parameters, name)

    return solve


def _solution(
    equation: _Equation, solver: Callable[..., Any], parameters: Sequence[Any], name: str
) -> Any:
    """Return what ``solver`` computes, with derivatives that follow from the equation."""
    given = flat_nodes(parameters)
    function = custom(
        lambda *inner: called(
            "the solver", solver, *nest(tuple(parameters), iter(inner[: len(given)]))
        ),
        equation.reverse, equation.forward, name,
    )  # fmt: skip
    return function(*given, *equation.captured)


class _Equation:
    """An equation r(x, p) = 0, where p are parameters and captured nodes.

    Parameters
    ----------
    residual : callable
    parameters : sequence of nodes or nested structures
    solution : Node or nested structure of nodes
        What x is like.

    Attributes
    ----------
    captured : list of Node
        The nodes that the residual uses apart from its arguments.
    """

    def __init__(
        self, residual: Callable[..., Any], parameters: Sequence[Any], solution: Any
    ) -> None:
        likes, given = flat_nodes(solution), flat_nodes(parameters)
        arguments = [placeholder(node) for node in (*likes, *given)]
        inner, more = arguments[: len(likes)], arguments[len(likes) :]
        with tracing() as made:
            given = nest(tuple(parameters), iter(more))
            result = called("the residual", residual, nest(solution, iter(inner)), *given)
            flat = flatten(flat_nodes(result))
        self.body, self.captured = close_over([flat], arguments, made)
        self._parameters = len(given) + len(self.captured)
        size, expected = flat.type, flatten(likes).type
        if not _fits(size, expected):
            raise ShapeError(
                f"the residual has {size} elements, and the solution {expected}",
                remedy="There must be one equation for each unknown.",
            )

    def _linearised(
        self, outs: Sequence[Node], inputs: Sequence[Node]
    ) -> tuple[Node, Node, list[Node]]:
        """Return r, ∂r/∂x, and the parameters as nodes on which r depends, but not through x."""
        x = identity(flatten(outs))
        given = [identity(node) for node in inputs[: self._parameters]]
        (r,) = inline(self.body, [*unflatten(x, outs), *given])
        return r, FUNCTIONS["jacobian"](r, x), given

    def reverse(self, adjoint: Any, out: Any, *inputs: Node) -> list[Node | None]:
        """Return -(∂r/∂p)ᵀ (∂r/∂x)⁻ᵀ v for the adjoint v of x."""
        outs = list(out) if isinstance(out, tuple) else [out]
        adjoints = list(adjoint) if isinstance(adjoint, tuple) else [adjoint]
        r, slope, given = self._linearised(outs, inputs)
        w = call("linalg.solve", call("matrix_transpose", slope), flatten(adjoints))
        floats = [node for node in given if node.type.is_float]
        found = iter(FUNCTIONS["gradients"](r, floats, seed=w, unused="none"))
        partials = [next(found) if node.type.is_float else None for node in given]
        return [None if v is None else -v for v in partials]

    def forward(self, tangents: Sequence[Node], out: Any, *inputs: Node) -> list[Node]:
        """Return -(∂r/∂x)⁻¹ ∂r/∂p ṗ."""
        outs = list(out) if isinstance(out, tuple) else [out]
        r, slope, given = self._linearised(outs, inputs)
        pairs = [(p, v) for p, v in zip(given, tangents, strict=False) if p.type.is_float]
        moved = call("pushforward", r, [p for p, _ in pairs], [v for _, v in pairs])
        return unflatten(-call("linalg.solve", slope, moved), outs)


def _fits(a: Any, b: Any) -> bool:
    known = [isinstance(t.shape, tuple) and isinstance(t.shape[0], int) for t in (a, b)]
    return not all(known) or a.shape == b.shape


def flatten(nodes: Sequence[Node]) -> Node:
    """Return the elements of several arrays as one vector."""
    rows = [call("reshape", node, (-1,)) for node in nodes]
    if not rows:
        raise GraphTypeError("there is nothing to solve for")
    return rows[0] if len(rows) == 1 else call("concat", rows)


def unflatten(vector: Node, likes: Sequence[Node]) -> list[Node]:
    """Return the parts of a vector in the shapes of the arrays that were put together in it."""
    if len(likes) == 1:
        return [reshape_like(vector, likes[0])]
    parts: list[Node] = []
    start: Any = 0
    for like in likes:
        stop = start + call("size", like)
        parts.append(reshape_like(vector[start:stop], like))
        start = stop
    return parts


@isolated
@register
def root(
    residual: Callable[[Any], Any],
    guess: Any,
    tolerance: float | None = None,
    max_steps: int = 100,
) -> Any:
    """Return a root of ``residual``, found by Newton's method from ``guess``.

    Its derivatives with respect to the nodes that the residual uses are those of the exact root.

    Parameters
    ----------
    residual : callable
        ``residual(x)`` returns as many elements as x has; it uses the parameters as outer nodes.
    guess : Node or nested structure of nodes and arrays
        Where to begin; it has no derivative.
    tolerance : float, optional
        The size of the last step, relative to 1 + abs(x), element by element.  By default the
        precision of the dtype to the power 3/4.
    max_steps : int
        A call that needs more steps fails with an error.

    Returns
    -------
    Node or nested structure like ``guess``

    Raises
    ------
    ShapeError
        If the residual has more or fewer elements than the guess.

    Examples
    --------
    >>> import symad as sm
    >>> p = sm.Variable("p", shape=())
    >>> x = sm.root(lambda x: x**3 + x - p, 1.0)
    >>> sm.compile([p], [x, sm.gradients(x, p)])(10.0)
    [np.float64(2.0), np.float64(0.07692307692307693)]
    """
    first = _start(guess)
    equation = _Equation(residual, (), first)

    def step(x: Node, likes: Sequence[Node]) -> Node:
        moving = identity(x)
        (r,) = inline(equation.body, [*unflatten(moving, likes), *equation.captured])
        return x - call("linalg.solve", FUNCTIONS["jacobian"](r, moving), r)

    solver = lambda: _iterated(step, first, tolerance, max_steps, "root")  # noqa: E731
    return _solution(equation, solver, (), "root")


@isolated
@register
def fixed_point(
    function: Callable[[Any], Any],
    guess: Any,
    tolerance: float | None = None,
    max_steps: int = 1000,
) -> Any:
    """Return an x with ``function(x) = x``, found by applying the function to ``guess`` repeatedly.

    Its derivatives with respect to the nodes that the function uses are those of the exact point.

    Parameters
    ----------
    function : callable
        ``function(x)`` returns a value like x; it uses the parameters as outer nodes.
    guess : Node or nested structure of nodes and arrays
        Where to begin; it has no derivative.
    tolerance : float, optional
        The size of the last step, relative to 1 + abs(x), element by element.  By default the
        precision of the dtype to the power 3/4.
    max_steps : int
        A call that needs more steps fails with an error.

    Returns
    -------
    Node or nested structure like ``guess``

    Raises
    ------
    ShapeError
        If the function returns more or fewer elements than the guess has.

    Examples
    --------
    >>> import symad as sm
    >>> p = sm.Variable("p", shape=())
    >>> x = sm.fixed_point(lambda x: 0.5 * (x + p / x), 1.0)
    >>> x.eval({p: 2.0})
    np.float64(1.414213562373095)
    """
    first = _start(guess)

    def step(x: Node, likes: Sequence[Node]) -> Node:
        return flatten(
            flat_nodes(called("the function", function, nest(first, iter(unflatten(x, likes)))))
        )

    def residual(x: Any) -> Node:
        return flatten(flat_nodes(x)) - flatten(flat_nodes(called("the function", function, x)))

    solver = lambda: _iterated(step, first, tolerance, max_steps, "fixed_point")  # noqa: E731
    return _solution(_Equation(residual, (), first), solver, (), "fixed_point")


def _start(guess: Any) -> Any:
    """Return a guess as floating nodes without derivatives."""
    nodes = [
        node if node.type.is_float else call("cast", node, "float64") for node in flat_nodes(guess)
    ]
    return nest(guess, iter([call("stop_gradient", node) for node in nodes]))


def _iterated(
    step: Callable[[Node, Sequence[Node]], Node],
    first: Any,
    tolerance: float | None,
    max_steps: int,
    name: str,
) -> Any:
    """Repeat ``step`` on a flat x until it changes little; not to get there is an error."""
    likes = flat_nodes(first)
    start = flatten(likes)
    (type_,) = tensor_types(start.type)
    bound = float(np.finfo(type_.dtype).eps) ** 0.75 if tolerance is None else tolerance

    def goes_on(state: tuple[Node, Node]) -> Node:
        x, change = state
        return call("logical_not", call("all", change <= bound * (1 + call("abs", x))))

    def body(state: tuple[Node, Node]) -> tuple[Node, Node]:
        new = step(state[0], likes)
        return new, call("abs", new - state[0])

    unfinished = call("full_like", start, np.inf)
    x, _ = while_loop(goes_on, body, (start, unfinished), max_steps, name)
    return nest(first, iter(unflatten(x, likes)))
