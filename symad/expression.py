"""The expression reader: ``"log(x1) + x1*x2 - sin(x2)"`` becomes a graph.  Nothing is evaluated.

The text is parsed by Python's own parser, and the resulting tree is walked with an explicit stack.
Only listed kinds of tree nodes, functions and constants are accepted; all else is refused with the
column.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any

from symad.errors import ExpressionError, SymadError, did_you_mean
from symad.graph.node import Constant, Node, Variable
from symad.graph.op import OP_CLASSES, Op
from symad.graph.operators import FUNCTIONS, IN_EXPRESSIONS, ON_FIRST_USE
from symad.graph.provenance import EXPRESSION, Creation, Site, creating
from symad.records import dataclass, field
from symad.spelling import as_python

LONGEST = 4000
"""The most characters that an expression may have."""

_LONGEST_SUGGESTION = 200
_ASSIGNED = re.compile(r"[^\W\d]\w*\s*=")

CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e}

_BINARY: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "mod",
    ast.Pow: "power",
    ast.MatMult: "matmul",
}
_COMPARE: dict[type[ast.AST], str] = {
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
}
_ATTRIBUTES = {"T": "transpose", "mT": "matrix_transpose"}
_KEYWORDS = ("axis", "keepdims")
_REFUSED = {
    ast.BinOp: "this operator is not known in expressions",
    ast.BoolOp: "write logical_and(a, b) or logical_or(a, b) for `and` and `or`",
    ast.IfExp: "write where(condition, a, b) for a choice",
    ast.Subscript: "an expression has no indexing; write that part in Python",
    ast.Lambda: "an expression defines no functions",
    ast.Attribute: "only .T and .mT are known after a point",
}


def function_table() -> dict[str, Callable[..., Any]]:
    """Return the functions that an expression may call, by name, as the ops declare."""
    return {
        path.rpartition(".")[2]: function
        for path, function in FUNCTIONS.items()
        if path in IN_EXPRESSIONS or _is_op_for_expressions(path, function)
    }


def _is_op_for_expressions(path: str, function: Callable[..., Any]) -> bool:
    kind = type(function) if isinstance(function, Op) else OP_CLASSES.get(path.rpartition(".")[2])
    return kind is not None and kind.in_expressions


@dataclass(frozen=True)
class Expression:
    """An expression that was read.

    Attributes
    ----------
    text : str
    node : Node
        The value of the expression.
    variables : dict from str to Variable
        In the order in which they appear; their shapes are not known.
    spans : dict from Node to (int, int)
        Where each node is written: the first column, from 0, and the one after the last.
    """

    text: str
    node: Node
    variables: dict[str, Variable]
    spans: dict[Node, tuple[int, int]] = field(default_factory=dict)


    def variable(self, name: str) -> Variable:
        """Return the variable of a name; an error lists those that there are."""
        variable = self.variables.get(name)
        if variable is None:
            known = ", ".join(self.variables) or "none"
            hint = did_you_mean(name, self.variables)
            raise ExpressionError(
                f"the expression has no variable {_shortened(name)!r} (it has {known}).{hint}"
            )
        return variable


def read_expression(text: str) -> Expression:
    """Read an expression such as ``"log(x1) + x1*x2 - sin(x2)"``.

    It may contain numbers, ``pi`` and ``e``, variables, which are created as they appear, the
    operators ``+ - * / // % ** @``, comparisons, and calls of mathematical functions of symad.
    What is written as on paper, such as ``2x²``, is refused with what it would be here.

    Raises
    ------
    ExpressionError
        If the text is not such an expression; the message is one line and names the column.

    Examples
    --------
    >>> expression = read_expression("log(x1) + x1*x2 - sin(x2)")
    >>> list(expression.variables)
    ['x1', 'x2']
    >>> x1, x2 = expression.variables.values()
    >>> expression.node.eval({x1: 2.0, x2: 5.0}).round(3)
    np.float64(11.652)
    >>> read_expression("lgo(x)")
    Traceback (most recent call last):
    symad.errors.ExpressionError: column 1: there is no function 'lgo'. Did you mean 'log'?
    >>> read_expression("x^2 + sin x")
    Traceback (most recent call last):
    symad.errors.ExpressionError: column 11: 'x' is not expected here. Did you mean 'x**2 + sin(x)'?
    """
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is text, not {type(text).__name__}")
    if len(text) > LONGEST:
        at = f"column {LONGEST + 1}"
        raise ExpressionError(f"{at}: an expression has at most {LONGEST} characters")
    source = text.strip()
    if not source:
        raise ExpressionError("column 1: the expression is empty")
    indent = len(text) - len(text.lstrip())
    try:
        return _read(source, indent)
    except ExpressionError as error:
        if "Did you mean" in str(error):
            raise
        meant = as_python(source, _functions())
        if len(meant) > _LONGEST_SUGGESTION or not _is_readable(meant):
            raise
        raise ExpressionError(f"{str(error).rstrip('.')}. Did you mean {meant!r}?") from None


def _read(source: str, indent: int) -> Expression:
    reader = _Reader(source, indent, _parse(source, indent))
    value = reader.read()
    return Expression(source, _as_node(value), reader.variables, reader.spans)


def read_feed(expression: Expression, text: str | Sequence[str]) -> dict[Node, Any] | None:
    """Return the values of the variables; ``None`` if none are given and some are needed.

    Parameters
    ----------
    expression : Expression
    text : str or sequence of str
        ``"x1=2 x2=[1, 2]"``, or a text for each variable.

    Raises
    ------
    ExpressionError
        If the text is not of this form, or has no value for some variables.

    Examples
    --------
    >>> expression = read_expression("x1*x2")
    >>> list(read_feed(expression, "x1=2 x2=[1, 2]").values())
    [2.0, [1, 2]]
    """
    words = _assignments(text) if isinstance(text, str) else text
    feed: dict[Node, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ExpressionError(f"{_shortened(word)!r} is not of the form NAME=VALUE")
        variable = expression.variable(name.strip())
        if variable in feed:
            raise ExpressionError(f"{variable.name} has two values")
        feed[variable] = read_value(name.strip(), value)
    missing = [name for name, v in expression.variables.items() if v not in feed]
    if feed and missing:
        raise ExpressionError(f"no value for {', '.join(missing)}: give all values, or none")
    return feed if feed or not expression.variables else None


def _assignments(text: str) -> list[str]:
    """Return the assignments in a text, which spaces, commas or semicolons separate."""
    if len(text) > LONGEST:
        raise ExpressionError(f"values have at most {LONGEST} characters")
    starts = [0, *(found.start() for found in _ASSIGNED.finditer(text)), len(text)]
    pieces = (text[start:end].strip(" ,;\t\n") for start, end in pairwise(starts))
    return [piece for piece in pieces if piece]


def read_value(name: str, text: str) -> Any:
    """Return a number or a nested list of numbers; nothing is evaluated."""
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if math.isinf(number) and "inf" not in text.lower():
            raise ExpressionError(f"{name}={text[:40]}: the number is too large")
        return number
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        elif isinstance(item, bool) or not isinstance(item, (int, float)):
            raise ExpressionError(
                f"{name}={text[:40]}: a value is a number or a list such as [1, 2] or [[1], [2]]"
            )
    if not _is_rectangular(value):
        raise ExpressionError(f"{name}={text[:40]}: the rows of an array must have equal lengths")
    return value


def _is_rectangular(value: Any) -> bool:
    """Return whether all lists of the same depth have the same length."""
    level = [value]
    while any(isinstance(item, list) for item in level):
        lengths = {len(item) if isinstance(item, list) else -1 for item in level}
        if len(lengths) > 1:
            return False
        level = [item for row in level for item in row]
    return True


def _is_readable(source: str) -> bool:
    try:
        _read(source, 0)
    except ExpressionError:
        return False
    return True


def _functions() -> set[str]:
    """Return the names of all functions, those of modules that are not loaded yet included."""
    return {*function_table(), *(name for name in ON_FIRST_USE if name.isidentifier())}


def _parse(source: str, indent: int) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # 1(x): refused below, with the column
            return ast.parse(source, mode="eval").body
    except SyntaxError as error:
        column = indent + (error.offset or len(source) + 1)
        raise ExpressionError(f"column {column}: {_in_words(error, source)}") from None
    except (RecursionError, MemoryError):
        raise ExpressionError("column 1: the expression is nested too deeply") from None
    except ValueError as error:
        raise ExpressionError(f"column 1: {error}") from None


def _in_words(error: SyntaxError, source: str) -> str:
    """Return what Python's parser reports, in the words of expressions."""
    if error.msg.startswith(("invalid syntax", "expected")):
        if not error.offset:
            return "the expression is not complete"
        found = re.match(r"\w+|.", source[error.offset - 1 :])
        return f"{found[0]!r} is not expected here" if found else error.msg
    if error.msg.startswith("unterminated string"):
        return "the quotation mark is not closed"
    if "literal" in error.msg:
        return "this is not a number"
    return error.msg


def _as_node(value: Any) -> Node:
    return value if isinstance(value, Node) else Constant(float(value))


_Build = Callable[[list[Any]], Any]


@dataclass
class _Reader:
    """Walks the tree in order with a stack: a node's children first, then the node."""

    source: str
    indent: int
    root: ast.expr
    variables: dict[str, Variable] = field(default_factory=dict)
    spans: dict[Node, tuple[int, int]] = field(default_factory=dict)
    _functions: dict[str, Callable[..., Any]] = field(default_factory=function_table)

    def read(self) -> Any:
        """Return the value of the expression: a node, or a number if it is a single literal."""
        values: list[Any] = []
        pending: list[tuple[ast.AST, int, _Build | None]] = [(self.root, 0, None)]
        while pending:
            tree, count, build = pending.pop()
            if build is None:
                children, build = self._open(tree)
                pending.append((tree, len(children), build))
                pending += [(child, 0, None) for child in reversed(children)]
                continue
            arguments = values[len(values) - count :]
            del values[len(values) - count :]
            values.append(self._build(tree, build, arguments))
        self._require_value(self.root, values[0])
        return values[0]

    def _build(self, tree: ast.AST, build: _Build, arguments: list[Any]) -> Any:
        column = self._column(tree)
        try:
            with creating(Creation((), Site(EXPRESSION, column))):
                value = build(arguments)
        except ExpressionError:
            raise
        except SymadError as error:
            raise self._refusal(tree, " ".join(error.message.split())) from None
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise self._refusal(tree, " ".join(str(error).split())) from None
        if isinstance(value, Node):
            self.spans.setdefault(value, self._span(tree))
        return value

    def _open(self, tree: ast.AST) -> tuple[list[ast.expr], _Build]:
        """Return the children of a tree node, and how its value is computed from theirs."""
        match tree:
            case ast.Constant():
                number = self._number(tree)
                return [], lambda _: number
            case ast.Name():
                return [], lambda _: self._named(tree)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert(), operand=operand):
                return [operand], lambda values: self._unary(tree, values[0])
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
                return [left, right], self._operation(tree, _BINARY[type(operator)])
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if (
                type(operator) in _COMPARE
            ):
                return [left, right], self._operation(tree, _COMPARE[type(operator)])
            case ast.Attribute(value=value, attr=name) if name in _ATTRIBUTES:
                return [value], self._operation(tree, _ATTRIBUTES[name])
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return list(items), lambda values: self._sequence(tree, values)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                return self._call(tree, name, args, keywords)
        raise self._refused(tree)

    def _number(self, tree: ast.Constant) -> int | float:
        number = tree.value
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise self._refusal(tree, f"{_shortened(repr(number))} is not a real number")
        if not abs(number) <= sys.float_info.max:
            raise self._refusal(tree, "the number is too large")
        return number

    def _named(self, tree: ast.Name) -> Any:
        name = tree.id
        if "·" in name:  # which Python takes for a part of names
            raise self._refusal(tree, "'·' is not known in expressions; write *")
        if name in CONSTANTS:
            return Constant(CONSTANTS[name], name=name)
        if name in self._functions and name not in ON_FIRST_USE:  # which are names of parameters
            raise self._refusal(tree, f"{name!r} is a function: write {name}(...)")
        return self.variables.setdefault(name, Variable(name))

    def _unary(self, tree: ast.UnaryOp, value: Any) -> Any:
        self._require_value(tree, value)
        if isinstance(tree.op, ast.UAdd):
            return value
        if isinstance(tree.op, ast.Invert):
            return FUNCTIONS["logical_not"](_as_node(value))
        return -value

    def _operation(self, tree: ast.AST, name: str) -> _Build:
        def build(values: list[Any]) -> Any:
            for value in values:
                self._require_value(tree, value)
            if not any(isinstance(value, Node) for value in values):
                values = [Constant(float(values[0])), *values[1:]]  # 9**9**9 stays a node
            return FUNCTIONS[name](*values)

        return build

    def _sequence(self, tree: ast.AST, values: list[Any]) -> Any:
        """Return a list of numbers as an array, or as the axes of a reduction."""
        if any(isinstance(value, Node) for value in values):
            raise self._refusal(tree, "a list holds numbers only")
        return tuple(values) if isinstance(tree, ast.Tuple) else values

    def _call(
        self, tree: ast.AST, name: str, args: list[ast.expr], keywords: list[ast.keyword]
    ) -> tuple[list[ast.expr], _Build]:
        if name in ON_FIRST_USE and name not in FUNCTIONS:
            import_module(ON_FIRST_USE[name])
            self._functions.update(function_table())
        function = self._functions.get(name)
        if function is None:
            known = did_you_mean(name, _functions())
            raise self._refusal(tree, f"there is no function {_shortened(name)!r}.{known}")
        if name in ("max", "min") and len(args) == 2:
            raise self._refusal(tree, f"write {name}imum(a, b) for the {name}imum of two values")
        settings = {str(keyword.arg): self._setting(keyword) for keyword in keywords}
        try:
            inspect.signature(function).bind(*args, **settings)
        except TypeError as error:
            raise self._refusal(tree, f"{name}(...): {error}") from None

        def build(values: list[Any]) -> Any:
            if not any(isinstance(value, Node) for value in values) and values:
                values = [_literal(values[0]), *values[1:]]
            result = function(*values, **settings)
            if not isinstance(result, Node):
                raise self._refusal(tree, f"{name} does not give one value")
            return result

        return args, build

    def _setting(self, keyword: ast.keyword) -> Any:
        """Return the value of ``axis=``, an integer or a tuple of some, or of ``keepdims=``."""
        if keyword.arg not in _KEYWORDS:
            named = "**" if keyword.arg is None else f"{_shortened(keyword.arg)}="
            raise self._refusal(keyword, f"{named} is not known here; only axis= and keepdims= are")
        try:
            value = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, RecursionError, MemoryError):
            value = keyword
        items = value if isinstance(value, tuple) else (value,)
        wanted = bool if keyword.arg == "keepdims" else int
        if not all(type(item) is wanted for item in items) or len(items) > 64:
            kind = "True or False" if wanted is bool else "an integer or a tuple of integers"
            raise self._refusal(keyword, f"{keyword.arg}= takes {kind}")
        return value

    def _require_value(self, tree: ast.AST, value: Any) -> None:
        if isinstance(value, (tuple, list)):
            raise self._refusal(tree, "a list of numbers may only be an argument of a function")

    def _refused(self, tree: ast.AST) -> ExpressionError:
        if isinstance(tree, ast.Compare):
            return self._refusal(tree, "compare two values at a time")
        if isinstance(tree, ast.Call):
            return self._refusal(tree, "only a function's name can be called")
        kind = type(tree).__name__
        return self._refusal(tree, _REFUSED.get(type(tree), f"{kind} is not known in expressions"))

    def _refusal(self, tree: ast.AST, message: str) -> ExpressionError:
        return ExpressionError(f"column {self._column(tree)}: {message}")

    def _column(self, tree: ast.AST) -> int:
        """Return the column, from 1, in characters of the text."""
        return self.indent + self._span(tree)[0] + 1

    def _span(self, tree: ast.AST) -> tuple[int, int]:
        """Return where a tree node begins and ends, in characters of the stripped text."""
        lines = self.source.split("\n")

        def place(number: int, offset: int) -> int:
            before = sum(len(line) + 1 for line in lines[: number - 1])
            return before + len(lines[number - 1].encode()[:offset].decode(errors="replace"))

        first, last = getattr(tree, "lineno", 1), getattr(tree, "end_lineno", None) or 1
        start = place(first, getattr(tree, "col_offset", 0))
        return start, max(start, place(last, getattr(tree, "end_col_offset", None) or 0))


def _literal(value: Any) -> Any:
    return Constant(value) if isinstance(value, (tuple, list)) else Constant(float(value))


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
