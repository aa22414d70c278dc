"""Inspection functions: origin of NaN values, costs, memory, run time and code of a function.

Each function takes a compiled function and its arguments, or nodes and a feed.  The modules of this
package are loaded on the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symad.graph.op import explained

if TYPE_CHECKING:
    from symad.inspection.code_page import Listing
    from symad.inspection.ledger import Ledger
    from symad.inspection.memory_chart import MemoryChart
    from symad.inspection.nan.report import Blame
    from symad.inspection.timing import Profile
    from symad.runtime.function import Function


@explained
def find_nan(target: Any, *feed: Any, **keywords: Any) -> Blame:
    """Find the node that produced the first NaN or infinity among those in the results.

    The graph is run as written, node by node, at most twice.  An infinity that does not reach the
    results because it is masked is not blamed.

    Parameters
    ----------
    target : Function, or Node, Graph or nested structure of nodes
    *feed, **keywords
        For a function its arguments, as in a call; for nodes a dict from nodes to values.

    Returns
    -------
    Blame
        False if all results are finite.  Printed, it reports the node, the edge and rule of a
        derivative, the values, the user's line, whether the optimised graph is affected, and a
        remedy.

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


@explained
def cost(target: Any, *feed: Any, **keywords: Any) -> Ledger:
    """Return the cost of a graph, as written and after each pass.

    With derivatives among the outputs, each stage shows the forward graph alone, the extended
    graph, and the ratio of their numbers of operations.

    Parameters
    ----------
    target : Function, or Node, Graph or nested structure of nodes
    *feed, **keywords
        For a function its arguments, as in a call, or none if its shapes are known; for nodes a
        dict from nodes to values.  In a dict, a :class:`TensorType` may replace a value.

    Returns
    -------
    Ledger
        Flops are scalar operations of any dtype.  An elementary function counts as 10, a special
        function as 30, a factorisation as the leading term of its textbook count.  Bytes count
        every input and result in full for each use; views move no bytes.

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


@explained
def memory(target: Any, *feed: Any, limit: int = 40, **keywords: Any) -> MemoryChart:
    """Return a chart of the memory that a compiled function needs: buffers × steps.

    The chart highlights the residuals, which the forward part computes and the backward part
    reads: they are the memory cost of reverse mode.

    Parameters
    ----------
    target : Function, or Node, Graph or nested structure of nodes
    *feed
        For a function its arguments, as in a call, or none if it has been called or its shapes are
        declared; for nodes a dict from nodes to values.
    limit : int
        The number of buffers shown: the largest residuals, temporaries and inputs.
    **keywords
        Arguments by name.

    Returns
    -------
    MemoryChart
        A notebook displays it, ``save("memory.svg")`` writes it to a file, ``print`` shows it as
        text.

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
    <MemoryChart of f: at most 8.01 kB>
    >>> [block.values[0].label for block in chart.residuals]
    ['sqrt']
    """
    from symad.inspection.memory_chart import make_chart

    return make_chart(target, feed, keywords, limit)


@explained
def profile(target: Any, *feed: Any, runs: int = 20, **keywords: Any) -> Profile:
    """Return how long each instruction of a compiled function takes.

    The function is run after one warm-up run; no parameter is updated.  The profile times the graph
    after all passes, with fused loop nests in native code.

    Parameters
    ----------
    target : Function, or Node, Graph or nested structure of nodes
        Nodes are run with NumPy.
    *feed
        For a function its arguments, as in a call; for nodes a dict from nodes to values.
    runs : int
        The number of runs; times are their medians.  An input named ``runs`` must be given by
        position.
    **keywords
        Arguments by name.

    Returns
    -------
    Profile
        A table; its method ``draw`` returns a picture.

    Raises
    ------
    FeedError
        If the feed does not fit.
    EvaluationError
        If an op fails.

    Notes
    -----
    Each reading of the clock adds about 50 ns, which matters for instructions as short as that.

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


@explained
def listing(function: Function, *, limit: int = 200) -> Listing:
    """Return a page that shows the optimised graph beside its NumPy source and its plan.

    Pointing at a node highlights its lines, and vice versa; the margin of the source shows the
    symbols of the picture.

    Parameters
    ----------
    function : Function
        The page shows the program of its latest call, or before the first call, the program for
        the declared types.
    limit : int
        A graph with more nodes is folded, as by :func:`symad.draw`.

    Returns
    -------
    Listing
        A notebook displays it, ``save("f.html")`` writes it to a file for any browser.

    Raises
    ------
    GraphTypeError
        If ``function`` is not a compiled function.

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
