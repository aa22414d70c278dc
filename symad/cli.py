"""The ``symad`` command: pictures, traces and gradients of expressions, and the demo."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

import symad
from symad.errors import ExpressionError, SymadError
from symad.visible import visible

if TYPE_CHECKING:
    from symad.expression import Expression
    from symad.graph.node import Node, Variable

_LECTURE = '"log(x1) + x1*x2 - sin(x2)"'
_TENSORS = '"sum(tanh(A @ x))" "A=[[1, 2], [3, 4]]" "x=[1, -1]"'
_EXAMPLES = {
    "draw": (
        f"{_LECTURE} x1=2 x2=5 -o lecture.svg",
        '"sum((A @ x)**2)" --wrt x --direction LR --theme dark -o graph.png',
    ),
    "play": (f"{_LECTURE} x1=2 x2=5 -o lecture.html", '"sum(tanh(A @ x))" -o tensors.html'),
    "serve": ("", f"{_LECTURE} x1=2 x2=5"),
    "trace": (f"{_LECTURE} x1=2 x2=5", f"{_LECTURE} --wrt x2"),
    "gradient": (f"{_LECTURE}", f"{_TENSORS} --wrt x"),
    "explain": (f"{_LECTURE} x1=2 x2=5", '"log(sigmoid(x))" --form latex'),
    "compare": (f"{_LECTURE} x1=2 x2=5", f"{_TENSORS} --wrt x"),
    "backpropagation": (f"{_LECTURE} x1=2 x2=5", '"(a + b) * (b + 1)" a=2 b=1'),
    "order": ("", "--doublings 10"),
    "cost": (f"{_LECTURE} x1=2 x2=5", _TENSORS),
    "memory": (f"{_LECTURE} x1=2 x2=5", f"{_TENSORS} -o memory.png"),
    "profile": (_TENSORS, f"{_TENSORS} -o profile.svg"),
    "code": (f"{_LECTURE} x1=2 x2=5", f"{_TENSORS} -o listing.html"),
    "nan": ('"log(x) * x" x=0', '"sqrt(sum(x**2))" "x=[0, 0]"'),
    "demo": ("", "distributed -o pictures"),
}
"""Two calls of each command."""

_DEMOS = {
    "digits": ("run.run_demo", "the lecture's example, then a network learns digits"),
    "distributed": ("distributed.run_distributed", "a network learns on a Dask cluster"),
}
"""What ``symad demo`` runs: a function of the folder for pictures, and a summary."""

_NOTES = """\
An expression may contain numbers, pi, e, variables, + - * / // % ** @, comparisons, and functions
such as log, sin, sum(x, axis=0), maximum(a, b).  Values are numbers or nested lists.

Exit codes: 0 success, 1 failure, 2 the command or the expression could not be parsed.
"""


def _examples(*names: str) -> str:
    """Return the text below the help of one command, or of all."""
    calls = [f"  symad {name} {call}" for name in names for call in _EXAMPLES[name]]
    if len(names) > 1:
        calls = calls[::2]
    return "\n".join(["examples:", *map(str.rstrip, calls), "", _NOTES])


_DRAWN = {
    "direction": (("TB", "LR"), "from top to bottom, or from left to right"),
    "theme": (("light", "dark", "print"), "the colours; print is black and white"),
    "show": (("all", "forward", "adjoint", "path"), "a part, or paths between highlighted nodes"),
    "engine": (("symad", "dot"), "the layout engine"),
}
"""The options of pictures: their values, the first by default, and what they mean."""

_MOST_DOUBLINGS = 1000
_LAST_PORT = 65_535
_NEGATIVE = re.compile(r"-(?![-oh]|$)")
"""How an expression begins that is no option; argparse takes words after a space as they are."""


class _UsageError(Exception):
    """The command line is invalid; the exit code is 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Examples
    --------
    >>> main(["trace", "x*x", "x=3"])
    forward trace        tangents v̇i = ∂vi/∂x     adjoints v̄i = ∂y/∂vi
    ──────────────────   ──────────────────────   ──────────────────────────────
    v1 = x = 3           v̇1 = 1                   v̄2 = 1
    v2 = v1·v1 = 9 = y   v̇2 = v̇1·v1 + v̇1·v1 = 6   v̄1 = v̄2·v1 + v̄2·v1 = 3 + 3 = 6
    0
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without v̄ shows v?
    try:
        options = _parse(argv)
        run: Callable[[argparse.Namespace], int] = options.run
        with np.errstate(all="ignore"):  # the results show what is not finite
            return run(options)
    except SystemExit:  # argparse has printed help or the version
        return 0
    except (_UsageError, ExpressionError) as error:
        return _complain(str(error), 2)
    except SymadError as error:
        return _complain(f"{error.message.rstrip('.')}. {error.remedy}", 1)
    except BrokenPipeError:  # the reader of the output has exited, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}", 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


class _Parser(argparse.ArgumentParser):
    """Reports its errors on one line, like all errors of the command."""

    def error(self, message: str) -> NoReturn:
        message = message.replace(", NAME=VALUE", "")  # which argparse believes to be required
        raise _UsageError(f"{message}; see {self.prog} --help")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; values may be placed before, between and after them."""
    given = sys.argv[1:] if argv is None else argv
    words = [f" {word}" if _NEGATIVE.match(word) else word for word in given]
    options, rest = _parser().parse_known_args(words)
    for word in rest:
        if word.startswith("-") or "=" not in word or not hasattr(options, "values"):
            hint = f"see symad {options.command} --help"
            raise _UsageError(f"{visible(word, 40)!r} is not understood; {hint}")
        options.values.append(word)
    return options


def _complain(message: str, code: int) -> int:
    print(f"symad: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="symad",
        description="Draw, trace and differentiate graphs of expressions.",
        epilog=_examples(*_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"symad {symad.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _add_pictures(commands)
    _add_explanations(commands)
    _add_looking_inside(commands)
    demo = _command(commands, "demo", "run a demo")
    known = "; ".join(f"{name}: {summary}" for name, (_, summary) in _DEMOS.items())
    demo.add_argument("demo", nargs="?", choices=_DEMOS, default="digits", help=f"{known} (digits)")
    _add_output(demo, "demo-output", "folder for pictures", "DIR")
    demo.set_defaults(run=_demo)
    return parser


def _add_pictures(commands: Any) -> None:
    draw = _expression_command(commands, "draw", _draw, "save a picture of the graph")
    _add_output(draw, "graph.svg", "the picture, a name that ends in .svg, .png, .pdf or .dot")
    draw.add_argument("--forward", action="store_true", help="leave out the adjoints")
    draw.add_argument("--repairs", action="store_true", help="show all shape repairs")
    for option, (choices, text) in _DRAWN.items():
        draw.add_argument(f"--{option}", choices=choices, default=choices[0], help=text)
    text = "emphasise this node, such as x1, v4 or v4_bar; may be repeated"
    draw.add_argument("--highlight", action="append", default=[], metavar="NAME", help=text)
    text = "fold a graph with more nodes (200)"
    draw.add_argument("--limit", type=int, default=200, metavar="N", help=text)

    summary = "save a page that plays how gradients are built and compiled"
    play = _expression_command(commands, "play", _play, summary)
    text = "the page, or its steps as pictures: .html, .pdf, .svg, .png, .gif, .webp or .tex"
    _add_output(play, "player.html", text)

    summary = "open the page of an expression that can be edited, from a server on this machine"
    serve = _expression_command(commands, "serve", _serve, summary, required=False)
    serve.add_argument("--port", type=int, default=0, help="the port (default: any that is free)")
    serve.add_argument("--no-browser", action="store_true", help="only print the address")


def _add_explanations(commands: Any) -> None:
    summary = "print values, tangents and adjoints step by step"
    trace = _expression_command(commands, "trace", _trace, summary, wrt=False)
    text = "the variable for the tangents (default: the first)"
    trace.add_argument("--wrt", metavar="NAME", help=text)

    summary = "print the extended graph, its formulas and its values"
    _expression_command(commands, "gradient", _gradient, summary)

    summary = "print how gradients are derived, and what the passes do"
    explain = _expression_command(commands, "explain", _explain, summary)
    forms = ["text", "markdown", "latex"]
    explain.add_argument("--form", choices=forms, default="text", help="output format (text)")

    summary = "print the operations that each way of differentiating takes"
    _expression_command(commands, "compare", _compare, summary)

    summary = "print backpropagation and the extension of the graph side by side"
    _expression_command(commands, "backpropagation", _backpropagation, summary, wrt=False)

    summary = "show why the order matters: backpropagation in three orders"
    order = _command(commands, "order", summary)
    order.add_argument(
        "--doublings",
        type=int,
        default=4,
        metavar="N",
        help="number of doublings, b = a + a and so on, from a = 1 (4)",
    )
    order.set_defaults(run=_order)


def _add_looking_inside(commands: Any) -> None:
    summary = "print the cost of value and gradients, before and after each pass"
    _expression_command(commands, "cost", _cost, summary)

    summary = "print which buffers value and gradients need at each step"
    memory = _expression_command(commands, "memory", _memory, summary)
    _add_output(memory, "", "save a picture instead, a name that ends in .svg, .png or .pdf")

    summary = "print the time that each instruction for value and gradients takes"
    profile = _expression_command(commands, "profile", _profile, summary)
    text = "save a picture instead, a name that ends in .svg, .png, .pdf or .dot"
    _add_output(profile, "", text)

    summary = "save a page with the optimised graph, its source and its plan"
    code = _expression_command(commands, "code", _code, summary)
    _add_output(code, "code.html", "the page")

    summary = "find the origin of a NaN or an infinity in the value or the gradients"
    _expression_command(commands, "nan", _nan, summary)


def _command(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=_examples(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return command


def _expression_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    wrt: bool = True,
    required: bool = True,
) -> argparse.ArgumentParser:
    command = _command(commands, name, summary)
    count = None if required else "?"
    text = 'such as "log(x1) + x1*x2"'
    command.add_argument("expression", metavar="EXPR", nargs=count, help=text)
    command.add_argument(
        "values", nargs="*", metavar="NAME=VALUE", help="values of variables: x1=2 x=[1,2]"
    )
    if wrt:
        text = "differentiate with respect to this variable only; may be repeated"
        command.add_argument("--wrt", action="append", metavar="NAME", help=text)
    command.set_defaults(run=run)
    return command


def _add_output(
    command: argparse.ArgumentParser, default: str, text: str, metavar: str = "FILE"
) -> None:
    """Add the option for the output file; without a default, nothing is saved."""
    given = f" ({default})" if default else ""
    command.add_argument("-o", "--output", default=default, metavar=metavar, help=text + given)


def _draw(options: argparse.Namespace) -> int:
    expression, feed = _read(options)
    nodes: list[Node] = [expression.node]
    if not options.forward:
        nodes += symad.gradients(expression.node, _targets(expression, options.wrt))
    chosen = {option: getattr(options, option) for option in _DRAWN}
    lit = _named(nodes, options.highlight)
    drawing = symad.draw(
        nodes, feed, repairs=options.repairs, limit=options.limit, highlight=lit, **chosen
    )
    drawing.save(options.output)
    by = (
        "" if Path(options.output).suffix.lower() == ".dot" else f", drawn by {drawing.rendered_by}"
    )
    print(f"{options.output}{by}")
    for note in drawing.notes:
        print(note)
    return 0


def _named(nodes: Sequence[Node], names: Sequence[str]) -> list[Node]:
    """Return the nodes with some names: those of variables, or symbols as in pictures."""
    from symad.notation.names import labels_of
    from symad.notation.view import View

    if not names:
        return []
    labels = labels_of(View(nodes))
    known: dict[str, Node] = {}
    for node, symbols in labels.symbols.items():
        for symbol in symbols:
            known |= {str(symbol): node, symbol.identifier: node}
        if node.op is None:
            known[node.label] = node
    for name in names:
        if name not in known:
            given = ", ".join(name for name in known if name.isascii())
            raise _UsageError(f"there is no node {name!r} to highlight; there are {given}")
    return [known[name] for name in names]


def _trace(options: argparse.Namespace) -> int:
    expression, feed = _read(options)
    wrt = None if options.wrt is None else expression.variable(options.wrt)
    print(symad.trace(expression.node, feed, wrt))
    return 0


def _gradient(options: argparse.Namespace) -> int:
    from symad.tables.tracing import derivation

    expression, feed = _read(options)
    y, targets = expression.node, _targets(expression, options.wrt)
    gradients = symad.gradients(y, targets)
    names = ["y", *(f"∂y/∂{target.name}" for target in targets)]
    values = [] if feed is None else symad.Executor([y, *gradients], backend="numpy").run(feed)
    print(symad.Graph([y, *gradients], expression.variables.values()))
    print("", *derivation(y, targets), sep="\n")
    if values:
        print("", *(f"{n} = {v}" for n, v in zip(names, values, strict=True)), sep="\n")
    return 0


def _explain(options: argparse.Namespace) -> int:
    expression, feed = _read(options)
    targets = _targets(expression, options.wrt)
    explanation = symad.explain(expression.node, targets, feed)
    print(getattr(explanation, options.form))
    return 0


def _compare(options: argparse.Namespace) -> int:
    expression, feed = _read(options)
    targets = _targets(expression, options.wrt)
    print(symad.compare_derivatives(expression.node, targets, _fed(feed)))
    return 0


def _backpropagation(options: argparse.Namespace) -> int:
    from symad.demo.backpropagation import compare_with_extension

    expression, feed = _read(options)
    print(compare_with_extension(expression.node, _fed(feed)))
    return 0


def _order(options: argparse.Namespace) -> int:
    from symad.demo.visit_orders import compare_orders, doubling_chain

    if not 0 < options.doublings <= _MOST_DOUBLINGS:
        raise _UsageError(f"--doublings must be a number from 1 to {_MOST_DOUBLINGS}")
    start, node = doubling_chain(options.doublings)
    print(compare_orders(node, {start: 1.0}))
    return 0


def _extended(options: argparse.Namespace) -> tuple[list[Node], dict[Node, Any]]:
    """Return the value and its gradients, and the feed."""
    expression, feed = _read(options)
    gradients = symad.gradients(expression.node, _targets(expression, options.wrt))
    return [expression.node, *gradients], _fed(feed)


def _cost(options: argparse.Namespace) -> int:
    print(symad.cost(*_extended(options)))
    return 0


def _memory(options: argparse.Namespace) -> int:
    import symad

    chart = symad.memory(*_extended(options))
    if options.output:
        chart.save(options.output)
    print(options.output or chart)
    return 0


def _profile(options: argparse.Namespace) -> int:
    import symad

    profile = symad.profile(*_extended(options))
    if options.output:
        profile.draw().save(options.output)
    print(options.output or profile)
    return 0


def _code(options: argparse.Namespace) -> int:
    import symad

    nodes, feed = _extended(options)
    function = symad.compile(list(feed), nodes, name="f")
    function(*feed.values())
    symad.listing(function).save(options.output)
    print(options.output)
    return 0


def _nan(options: argparse.Namespace) -> int:
    print(symad.find_nan(*_extended(options)))
    return 0


def _play(options: argparse.Namespace) -> int:
    from symad.player.player import play_expression

    expression, feed = _read(options)
    targets = _targets(expression, options.wrt)
    player = play_expression(expression, targets, feed)
    player.save(options.output)
    is_page = Path(options.output).suffix.lower() in (".html", ".htm")
    size = f", {len(player.html.encode()) / 1000:.0f} KB" if is_page else ""
    print(f"{options.output}{size}")
    for note in player.notes:
        print(note)
    return 0


def _training() -> Iterator[str]:
    from symad.demo.training_view import TrainingView, spiral_network, spirals

    return TrainingView(*spiral_network(16, 16), *spirals()).live()


def _serve(options: argparse.Namespace) -> int:
    import webbrowser

    from symad.player.serve import PageServer, Request

    if not 0 <= options.port <= _LAST_PORT:
        raise _UsageError(f"--port must be a number from 0 to {_LAST_PORT}")
    first = Request()
    if options.expression:
        first = Request(options.expression, " ".join(options.values), ",".join(options.wrt or ()))
        first.page(first)  # raises if it cannot be read
    with PageServer(options.port, first, {"Training, live": _training}) as server:
        print(f"{server.address}\nStop with Ctrl-C.", flush=True)
        if not options.no_browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _fed(feed: dict[Node, Any] | None) -> dict[Node, Any]:
    if feed is None:
        raise _UsageError("this command needs values for all variables, such as x=2")
    return feed


def _demo(options: argparse.Namespace) -> int:
    module, function = _DEMOS[options.demo][0].split(".")
    run: Callable[[Path], int] = getattr(import_module(f"symad.demo.{module}"), function)
    return run(Path(options.output))


def _read(options: argparse.Namespace) -> tuple[Expression, dict[Node, Any] | None]:
    """Return the expression and the feed; the feed is ``None`` if no values are given."""
    from symad.expression import read_expression, read_feed

    expression = read_expression(options.expression)
    return expression, read_feed(expression, options.values)


def _targets(expression: Expression, names: list[str] | None) -> list[Variable]:
    if names is None:
        return list(expression.variables.values())
    return [expression.variable(name) for name in dict.fromkeys(names)]


if __name__ == "__main__":
    sys.exit(main())
