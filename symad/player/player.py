"""``symad.play``, which returns a page that steps through a gradient."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from symad.autodiff.activity import require_some
from symad.autodiff.reverse import extend, gradients
from symad.errors import GraphTypeError, RenderError
from symad.graph.nested import leaves
from symad.graph.node import Node, Variable
from symad.graph.op import explained
from symad.graph.traverse import topological_order
from symad.replacing import replacing
from symad.runtime.values import Feed, node_values

if TYPE_CHECKING:
    from symad.expression import Expression
    from symad.player.film import Film

_HEIGHT = 640  # of the frame in a notebook, in pixels
_LIMIT = 200  # of nodes that are not folded


class Player:
    """A page that plays a gradient; made by :func:`symad.play`.

    Attributes
    ----------
    html : str
        The page: one self-contained file that loads nothing.
    notes : tuple of str
        Notes on what the page leaves out; the page shows them too.
    """

    def __init__(self, html: str, title: str, notes: tuple[str, ...], film: Film) -> None:
        self.html = html
        self.notes = notes
        self._title = title
        self._film = film

    def save(self, path: str | os.PathLike[str], step: int | None = None) -> None:
        """Write the page for any browser, or its steps as pictures, in the format of the suffix.

        Parameters
        ----------
        path : str or path-like
            ``.html`` is the page.  ``.pdf`` has a page for each step; ``.gif`` and ``.webp`` are
            animations.  Of ``.svg``, ``.png`` and ``.tex`` (TikZ), there is a file for each step,
            whose number is added to the name: ``steps.svg`` becomes ``steps-01.svg`` and so on.
        step : int, optional
            Only this step, as the page counts them, from 1.

        Raises
        ------
        MissingExtraError
            If an animation needs Pillow and it is not installed.
        RenderError
            If the suffix is not one of these, there is no such step, or neither the package typst
            nor Graphviz, which paint PNG, PDF and animations, is installed.  No file is then
            written.
        """
        if os.fspath(path).lower().endswith((".html", ".htm")):
            if step is not None:
                raise RenderError(
                    "a page has all steps",
                    remedy=f"Save it without a step, and open it with #step={step} in the address.",
                )
            with replacing(path) as file:
                file.write(self.html.encode())
        else:
            self._film.save(path, step)

    def _repr_html_(self) -> str:
        from html import escape

        page = escape(self.html)
        return (
            f'<iframe sandbox="allow-scripts allow-downloads" srcdoc="{page}" '
            f'title="symad player" width="100%" height="{_HEIGHT}" style="border:0"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<Player of {self._title}: {len(self.html.encode()):,} bytes>"


@explained
def play(y: Node, xs: Any = None, feed: Feed | None = None, *, limit: int = _LIMIT) -> Player:
    """Return a page that plays how the gradient of ``y`` is built, computed and compiled.

    It steps through the nodes as written; reverse mode, which visits them in reverse topological
    order and makes a partial adjoint for each edge; the values, forward and backward; the rewrites
    of the compiler; and the plan that runs.  If all inputs are numbers, sliders change them, and
    the page recomputes everything.

    Parameters
    ----------
    y : Node
        The node to differentiate.
    xs : Node or nested structure of nodes, optional
        The nodes to differentiate with respect to; by default all floating-point variables that
        ``y`` depends on.
    feed : dict from Node to value, optional
        Values of the variables.  Without a feed, the page shows no numbers.
    limit : int
        A graph with more nodes is folded, by scope where it has scopes; the page notes it.

    Returns
    -------
    Player
        A notebook displays it; ``.save("page.html")`` writes it to a file, and
        ``.save("steps.pdf")`` its steps; ``.html`` is its text.

    Raises
    ------
    FeedError
        If the feed does not fit.
    GradientError
        If ``y`` is not floating-point, or does not depend on one of ``xs``.
    GraphTypeError
        If ``y`` is not a node.

    Examples
    --------
    >>> import symad as sm
    >>> x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    >>> player = sm.play(sm.log(x1) + x1 * x2 - sm.sin(x2), [x1, x2], {x1: 2.0, x2: 5.0})
    >>> player.save("lecture.html")  # doctest: +SKIP
    """
    return _play(y, xs, feed, limit)


def play_expression(
    expression: Expression,
    xs: Any = None,
    feed: Feed | None = None,
    editor: dict[str, Any] | None = None,
) -> Player:
    """Return the page of an expression that was read, which highlights where a node is written.

    Parameters
    ----------
    expression : Expression
    xs, feed
        As for :func:`play`.
    editor : dict, optional
        The contents of the editor of a page that a server makes.
    """
    return _play(expression.node, xs, feed, _LIMIT, expression, editor)


def _play(
    y: Node,
    xs: Any,
    feed: Feed | None,
    limit: int,
    expression: Expression | None = None,
    editor: dict[str, Any] | None = None,
) -> Player:
    from symad.player.build import PageBuilder

    if not isinstance(y, Node):
        raise GraphTypeError(
            f"the player shows the gradient of one node, not of {y!r}",
            remedy="Play the outputs one at a time.",
        )
    targets = _targets(y, xs)
    gradients(y, targets)  # raises if y does not depend on a target
    record = extend(y, targets)
    results = [record.adjoints[target] for target in targets]
    made = [y, *record.adjoints.values(), *record.partials.values()]  # rules may skip some
    values = None if feed is None else node_values(made, feed)
    builder = PageBuilder(y, record, results, values, limit, expression)
    return Player(builder.page(editor), builder.title, builder.notes, builder.film())


def _targets(y: Node, xs: Any) -> list[Node]:
    order = topological_order([y]) if xs is None else []
    found = [n for n in order if isinstance(n, Variable) and n.type.is_float]
    targets = list(dict.fromkeys(found if xs is None else leaves(xs)))
    require_some(targets)
    return targets
