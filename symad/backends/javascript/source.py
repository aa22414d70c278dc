"""Writes scalar graphs as JavaScript, which a page runs when a slider moves.

A value of the graph is a number; a 64-bit integer is a BigInt, a boolean is a boolean.  Floats of
fewer bits are rounded after each operation.  The text contains no names or strings of the user,
uses no globals except ``Math``, ``BigInt`` and ``Number``, and gives the same results in each
engine, except for the last digits of the functions of ``Math``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import indent
from typing import Any

import numpy as np

from symad.backends.javascript.library import FUNCTIONS, definitions
from symad.errors import SymadError
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.ops.base import PerElement
from symad.passes.specialise import specialise
from symad.plan.plan import make_plan
from symad.records import dataclass
from symad.types import TensorType, UnknownShape
from symad.visible import visible

_BOOL = np.dtype(bool)

_MATH = {name: f"Math.{name}({{}})" for name in (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "cos", "cosh", "exp",
    "expm1", "floor", "log", "log10", "log1p", "log2", "sin", "sinh", "sqrt", "tan", "tanh",
    "trunc",
)} | {
    "fabs": "Math.abs({})",
    "exp2": "2 ** {}",
    "atan2": "Math.atan2({}, {})",
    "hypot": "Math.hypot({}, {})",
    "fmod": "{} % {}",
}  # fmt: skip
"""C functions that JavaScript has with the same special values."""


def javascript_source(graph: Graph) -> str:
    """Return a JavaScript (ES2020) expression for a function that computes ``graph``.

    The function takes one array with a value for each input of the graph, in order, and returns an
    array with the value of each output, in order.  It is pure.  Numbers and booleans are passed
    and returned unchanged, except that int64 and uint64 values are returned as BigInts; such inputs
    accept whole numbers and BigInts.

    Parameters
    ----------
    graph : Graph
        A graph whose outputs are the requested values.  Inputs of unknown shape are treated as
        scalars; all values must be scalars.

    Raises
    ------
    NotImplementedError
        If a value is an array or a structure, or an op is not defined for one element; the message
        tells the user which.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.exp(x) * x
    >>> print(javascript_source(sm.Graph([y, sm.gradients(y, x)])))
    (() => {
      "use strict";
      return function evaluate(inputs) {
        const t1 = inputs[0];
        const t2 = Math.exp(t1);
        const t3 = t2 * t1;
        const t4 = 1 * t2;
        const t5 = 1 * t1;
        const t6 = t5 * t2;
        const t7 = t4 + t6;
        return [t3, t7];
      };
    })()
    """
    plan = make_plan(_of_numbers(graph))
    builder = JavaScriptBuilder()
    values: dict[Node, JavaScriptValue] = {}
    for place, node in enumerate(plan.graph.inputs):
        values[node] = builder.received(f"inputs[{place}]", node.dtype)
    for _, constant in plan.constants:
        values[constant] = builder.constant(constant.value.item(), constant.dtype)
    for step in plan.instructions:
        values[step.node] = _element(builder, step.node, [values[n] for n in step.node.inputs])
    return builder.function([values[node] for node in plan.graph.outputs])


def _no_number(node: Node) -> str:
    return f"{visible(node.label)} is not a scalar but has the type {node.type}"


def _of_numbers(graph: Graph) -> Graph:
    """Return ``graph`` for scalar inputs, or raise an error."""
    types = []
    for node in graph.inputs:
        if not _may_be_number(node):
            raise NotImplementedError(_no_number(node))
        types.append(TensorType(node.dtype, ()))
    try:
        specialised = specialise(graph, types)
    except SymadError as error:
        raise NotImplementedError(f"not defined for scalars: {error.message}") from error
    for node in specialised.nodes:
        if not isinstance(node.type, TensorType) or node.type.shape != ():
            raise NotImplementedError(_no_number(node))
    return specialised


def _may_be_number(node: Node) -> bool:
    if not isinstance(node.type, TensorType):
        return False
    return isinstance(node.type.shape, UnknownShape) or node.type.shape == ()


def _element(
    builder: JavaScriptBuilder, node: Node, inputs: Sequence[JavaScriptValue]
) -> JavaScriptValue:
    """Return the result of an op on numbers."""
    op = node.op
    if not isinstance(op, PerElement):
        raise NotImplementedError(f"{node.op and node.op.name} has no code for one element")
    wanted = op.operand_dtypes(*[value.dtype for value in inputs])
    operands = [builder.cast(x, want) for x, want in zip(inputs, wanted, strict=True)]
    result: JavaScriptValue = builder.cast(op.scalar(builder, *operands), node.dtype)
    return result


@dataclass(frozen=True, slots=True)
class JavaScriptValue:
    """A name or a literal, and the dtype of its value."""

    text: str
    dtype: np.dtype[Any]


class JavaScriptBuilder:
    """A :class:`symad.graph.scalar.ScalarBuilder` that collects lines of JavaScript."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # from each expression to the name of its value
        self._used: set[str] = set()

    def function(self, results: Sequence[JavaScriptValue]) -> str:
        """Return an expression for the function that returns ``results``."""
        lines = [f"const {name} = {text};" for text, name in self._names.items()]
        lines.append(f"return [{', '.join(value.text for value in results)}];")
        parts = ['"use strict";', definitions(self._used), "return function evaluate(inputs) {"]
        parts += [indent("\n".join(lines), "  "), "};"]
        body = indent("\n".join(filter(None, parts)), "  ")
        return f"(() => {{\n{body}\n}})()"

    def received(self, text: str, dtype: np.dtype[Any]) -> JavaScriptValue:
        """Return an argument converted to ``dtype``."""
        if dtype.kind == "b":
            return self._let(f"!!{text}", dtype)
        if _is_wide(dtype):
            return self._let(_wrapped(f"BigInt({text})", dtype), dtype)
        if dtype.kind in "iu":
            return self._let(_wrapped(text, dtype), dtype)
        return self._float(text, dtype)

    def dtype(self, x: JavaScriptValue) -> np.dtype[Any]:
        return x.dtype

    def constant(self, value: float | int | bool, dtype: np.dtype[Any]) -> JavaScriptValue:
        with np.errstate(over="ignore"):
            number = dtype.type(value).item()
        if dtype.kind == "b":
            text = "true" if number else "false"
        elif dtype.kind in "iu":
            text = f"{number}n" if _is_wide(dtype) else str(number)
        elif math.isnan(number):
            text = "0 / 0"
        elif math.isinf(number):
            text = "1 / 0" if number > 0 else "-1 / 0"
        else:
            text = repr(number).removesuffix(".0")
        return JavaScriptValue(f"({text})" if "/" in text or text[0] == "-" else text, dtype)

    def add(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._arithmetic("||" if x.dtype.kind == "b" else "+", x, y)

    def subtract(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._arithmetic("-", x, y)

    def multiply(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        if x.dtype.kind in "iu" and x.dtype.itemsize == 4:  # the product may exceed 2^53
            return self._let(_wrapped(f"Math.imul({x.text}, {y.text})", x.dtype), x.dtype)
        return self._arithmetic("&&" if x.dtype.kind == "b" else "*", x, y)

    def divide(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._arithmetic("/", x, y)

    def truncated_divide(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        zero = self.constant(0, x.dtype).text
        quotient = f"{x.text} / {y.text}"
        if not _is_wide(x.dtype):
            quotient = f"Math.trunc({quotient})"
        text = f"{y.text} === {zero} ? {zero} : {_wrapped(quotient, x.dtype)}"
        return self._let(text, x.dtype)

    def negate(self, x: JavaScriptValue) -> JavaScriptValue:
        text = f"-{x.text}"
        return self._let(text if x.dtype.kind == "f" else _wrapped(text, x.dtype), x.dtype)

    def less(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._let(f"{x.text} < {y.text}", _BOOL)

    def less_equal(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._let(f"{x.text} <= {y.text}", _BOOL)

    def equal(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._let(f"{x.text} === {y.text}", _BOOL)

    def logical_and(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._let(f"{x.text} && {y.text}", _BOOL)

    def logical_or(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._let(f"{x.text} || {y.text}", _BOOL)

    def logical_not(self, x: JavaScriptValue) -> JavaScriptValue:
        return self._let(f"!{x.text}", _BOOL)

    def bitwise_and(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._arithmetic("&", x, y)

    def bitwise_or(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._arithmetic("|", x, y)

    def bitwise_xor(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._arithmetic("^", x, y)

    def left_shift(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        return self._arithmetic("<<", x, y)

    def right_shift(self, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        unsigned = x.dtype.kind == "u" and not _is_wide(x.dtype)
        return self._arithmetic(">>>" if unsigned else ">>", x, y)

    def select(
        self, condition: JavaScriptValue, x: JavaScriptValue, y: JavaScriptValue
    ) -> JavaScriptValue:
        return self._let(f"{condition.text} ? {x.text} : {y.text}", x.dtype)

    def call(self, function: str, *arguments: JavaScriptValue) -> JavaScriptValue:
        """Call a function of ``Math`` or of the library, and round its result.

        Raises
        ------
        NotImplementedError
            For integers, and if there is no such function.
        """
        dtype = arguments[0].dtype
        if dtype.kind != "f":
            raise NotImplementedError(f"{function} of {dtype} has no code for one element")
        texts = [argument.text for argument in arguments]
        if function in _MATH:
            return self._float(_MATH[function].format(*texts), dtype)
        if function not in FUNCTIONS:
            raise NotImplementedError(f"{function} has no JavaScript code")
        return self._float(self._helped(function, *texts), dtype)

    def cast(self, x: JavaScriptValue, dtype: np.dtype[Any]) -> JavaScriptValue:
        """Convert as :class:`symad.ops.adjoint.Cast` does."""
        if x.dtype == dtype:
            return x
        if dtype.kind == "b":
            return self._let(f"{x.text} !== {self.constant(0, x.dtype).text}", dtype)
        if x.dtype.kind == "b":
            return self._let(
                f"{x.text} ? {self.constant(1, dtype).text} : {self.constant(0, dtype).text}", dtype
            )
        if x.dtype.kind == "f":
            return self._from_float(x, dtype)
        return self._from_integer(x, dtype)

    def _from_integer(self, x: JavaScriptValue, dtype: np.dtype[Any]) -> JavaScriptValue:
        if dtype.kind == "f":
            if _is_wide(x.dtype) and dtype.itemsize == 4:
                return self._let(self._helped("integerToFloat32", x.text), dtype)
            return self._float(f"Number({x.text})" if _is_wide(x.dtype) else x.text, dtype)
        if _is_wide(dtype):
            text = x.text if _is_wide(x.dtype) else f"BigInt({x.text})"
            return self._let(_wrapped(text, dtype), dtype)
        text = f"Number(BigInt.asIntN(32, {x.text}))" if _is_wide(x.dtype) else x.text
        return self._let(_wrapped(text, dtype), dtype)

    def _from_float(self, x: JavaScriptValue, dtype: np.dtype[Any]) -> JavaScriptValue:
        """Convert to integers: NaN becomes 0, and values out of range the nearest integer."""
        if dtype.kind == "f":
            wider = dtype.itemsize > x.dtype.itemsize
            return JavaScriptValue(x.text, dtype) if wider else self._float(x.text, dtype)
        limits = np.iinfo(dtype)
        ends = [self.constant(end, dtype).text for end in (limits.min, limits.max)]
        helper = "toBigInteger" if _is_wide(dtype) else "toInteger"
        return self._let(self._helped(helper, x.text, *ends), dtype)

    def _arithmetic(self, operator: str, x: JavaScriptValue, y: JavaScriptValue) -> JavaScriptValue:
        text = f"{x.text} {operator} {y.text}"
        if x.dtype.kind == "f":
            return self._float(text, x.dtype)
        return self._let(_wrapped(text, x.dtype), x.dtype)

    def _float(self, text: str, dtype: np.dtype[Any]) -> JavaScriptValue:
        """Return the value of an expression, rounded to ``dtype``."""
        if dtype.itemsize == 4:
            text = f"Math.fround({text})"
        elif dtype.itemsize == 2:
            text = self._helped("float16", text)
        return self._let(text, dtype)

    def _helped(self, function: str, *arguments: str) -> str:
        self._used.add(function)
        return f"{function}({', '.join(arguments)})"

    def _let(self, text: str, dtype: np.dtype[Any]) -> JavaScriptValue:
        """Return the name of the value of an expression; equal expressions have one name."""
        return JavaScriptValue(self._names.setdefault(text, f"t{len(self._names) + 1}"), dtype)


def _is_wide(dtype: np.dtype[Any]) -> bool:
    """Return whether values are BigInts: integers that do not fit a double."""
    return dtype.kind in "iu" and dtype.itemsize == 8


def _wrapped(text: str, dtype: np.dtype[Any]) -> str:
    """Return an integer expression truncated to the bits of ``dtype``; booleans are unchanged."""
    bits = 8 * dtype.itemsize
    if dtype.kind == "b":
        return text
    if bits == 64:
        return f"BigInt.as{'Ui' if dtype.kind == 'u' else 'I'}ntN(64, {text})"
    if dtype.kind == "u":
        return f"({text}) >>> 0" if bits == 32 else f"({text}) & {2**bits - 1}"
    return f"({text}) | 0" if bits == 32 else f"({text}) << {32 - bits} >> {32 - bits}"
