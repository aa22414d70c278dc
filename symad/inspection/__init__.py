"""Looking inside: where a NaN arose, what a graph costs, what memory and time it takes, its code.

Each function takes a compiled function and its arguments, or nodes and a feed.  The modules of this
package are loaded when something is looked into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symad.inspection.code_page import Listing
    from symad.inspection.ledger import Ledger
    from symad.inspection.memory_chart import MemoryChart
    from symad.inspection.nan.report import Blame
    from symad.inspection.timing import Profile
    from symad.runtime.function import Function


def find_nan(target: Any, *feed: Any, **keywords: Any) -> Blame:
    """Return which node made the first NaN or infinity of those in the results.

    The graph is run as it was written, node by node, twice at most.  An infinity that is masked on
    its way to the results is not blamed.

    Parameters
    ----------
    target : Function, or Node, Graph or nested structure of nodes
    *feed, **keywords
        For a function its arguments, as in a call; for nodes a dict from nodes to values.

    Returns
    -------
    Blame
        False where all results are finite.  Printed, it tells what is known: the node, the edge and
        the rule in a derivative, the values, the user's line, whether what runs after the passes is
        affected, and what to do.

    Raises
    ------
    FeedError
        If the feed does not fit.
    EvaluationError
        If an op fails on finite values.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.sqrt(x) * x
    >>> found = sm.find_nan(sm.gradients(y, x), {x: [1.0, 0.0]})
    >>> found.where, found.edge.consumer.label, found.origin.index
    ('backward', 'sqrt', (1,))
    >>> bool(sm.find_nan(y, {x: [1.0, 0.0]}))
    False
    """
    from symad.inspection.nan.find import find_blame

    return find_blame(target, feed, keywords)


def cost(target: Any, *feed: Any, **keywords: Any) -> Ledger:
    """Return what a graph costs: as it was written, and after each pass up to what runs.

    With derivatives among the outputs, each stage shows the forward graph alone beside the
    extended graph, and how many times as many operations that takes.

    Parameters
    ----------
    target : Function, or Node, Graph or nested structure of nodes
    *feed, **keywords
        For a function its arguments, as in a call, or none if its shapes are known; for nodes a
        dict from nodes to values.  In a dict, a :class:`TensorType` stands for a value.

    Returns
    -------
    Ledger
        Its flops are operations on numbers of any dtype.  An elementary function counts as 10, a
        special one as 30, a factorisation by the leading term of its textbook count.  Bytes count
        every input and result in full, wherever it is used; views move nothing.

    Raises
    ------
    ShapeError
        If a size is not known.
    FeedError
        If a feed does not fit.

    Examples
    --------
    >>> import symad as sm
    >>> x1, x2 = sm.Variable("x1", shape=()), sm.Variable("x2", shape=())
    >>> y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    >>> ledger = sm.cost([y, sm.gradients(y, [x1, x2])], {x1: 2.0, x2: 5.0})
    >>> ledger.written.forward.flops, ledger.written.whole.flops
    (23, 40)
    >>> ledger.written.factor < ledger.bound
    True
    """
    from symad.inspection.ledger import make_ledger

    return make_ledger(target, feed, keywords)


def memory(target: Any, *feed: Any, limit: int = 40, **keywords: Any) -> MemoryChart:
    """Return a chart of the memory that a compiled function needs: buffers × steps.

    Values that the forward part makes and the backward part reads, the residuals, stand out: they
    are what reverse mode costs in memory.

    Parameters
    ----------
    target : Function, or Node, Graph or nested structure of nodes
    *feed
        For a function its arguments, as in a call, or none if it has been called or its shapes are
        declared; for nodes a dict from nodes to values.
    limit : int
        How many buffers are shown: the largest residuals, temporaries and inputs.
    **keywords
        Arguments by name.

    Returns
    -------
    MemoryChart
        A notebook shows it, ``save("memory.svg")`` writes it, printed it is in characters.

    Raises
    ------
    ShapeError
        If sizes are not known.
    FeedError
        If the feed does not fit.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(1000,))
    >>> y = sm.sum(sm.sqrt(x))
    >>> f = sm.compile([x], [y, sm.gradients(y, x)], backend="numpy", name="f")
    >>> chart = sm.memory(f)
    >>> chart
    <MemoryChart of f: 8.01 kB at most>
    >>> [block.values[0].label for block in chart.residuals]
    ['sqrt']
    """
    from symad.inspection.memory_chart import make_chart

    return make_chart(target, feed, keywords, limit)


def profile(target: Any, *feed: Any, runs: int = 20, **keywords: Any) -> Profile:
    """Return how long each instruction of a compiled function takes.

    The function is run, with one run before to warm up, but no parameter is updated.  What is timed
    is what runs: the graph after all passes, with loop nests fused where there is native code.

    Parameters
    ----------
    target : Function, or Node, Graph or nested structure of nodes
        Nodes are run with NumPy.
    *feed
        For a function its arguments, as in a call; for nodes a dict from nodes to values.
    runs : int
        Times are medians of so many runs; an input of this name is given by position.
    **keywords
        Arguments by name.

    Returns
    -------
    Profile
        A table; its method ``draw`` gives a picture.

    Raises
    ------
    FeedError
        If the feed does not fit.
    EvaluationError
        If an op fails.

    Notes
    -----
    Each reading of the clock adds some 50 ns, which shows where instructions are as short.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=("n",))
    >>> f = sm.compile([x], sm.sum(sm.exp(x)), backend="numpy")
    >>> found = sm.profile(f, [1.0, 2.0], runs=3)
    >>> [timing.ops for timing in found.timings]
    [('exp',), ('sum',)]
    """
    from symad.inspection.timing import make_profile

    return make_profile(target, feed, keywords, runs)


def listing(function: Function, *, limit: int = 200) -> Listing:
    """Return the graph that runs beside its NumPy source and its plan, as a page.

    Pointing at a node lights up its lines, and the other way round; the margin of the source has
    the symbols of the picture.

    Parameters
    ----------
    function : Function
        What its latest call ran is shown; before the first call, what the declared types give.
    limit : int
        A graph of more nodes is folded, as by :func:`symad.draw`.

    Returns
    -------
    Listing
        A notebook shows it, ``save("f.html")`` writes it to a file for any browser.

    Raises
    ------
    GraphTypeError
        If it is not a compiled function.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> f = sm.compile([x], sm.sin(x) * 2, name="f")
    >>> page = sm.listing(f)
    >>> page
    <Listing of f: 9 lines>
    >>> page.save("f.html")  # doctest: +SKIP
    """
    from symad.inspection.code_page import make_listing

    return make_listing(function, limit)
