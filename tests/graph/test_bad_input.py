"""What bad input gets: a clear error that names op, types, line and remedy, and loses nothing."""

import inspect
import operator
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import (
    EvaluationError,
    ExportError,
    FeedError,
    GradientError,
    GraphTypeError,
    ShapeError,
)
from symad.graph.operators import FUNCTIONS


def test_shapes_that_do_not_fit_at_build_time():
    a, b = sm.Variable("a", shape=(3,)), sm.Variable("b", shape=(4,))
    with pytest.raises(ShapeError) as caught:
        a + b  # the user's line
    text = str(caught.value)
    assert "add(a: f64[3], b: f64[4])" in text
    assert "test_bad_input.py" in text and "# the user's line" in text
    assert "must be equal or 1" in text


def test_shapes_that_do_not_fit_when_fed():
    a, b = sm.Variable("a"), sm.Variable("b")
    f = sm.compile([a, b], a + b)  # compiled
    with pytest.raises(ShapeError) as caught:
        f(np.ones(3), np.ones(4))
    text = str(caught.value)
    assert "add(a: f64[3], b: f64[4])" in text and "# compiled" in text
    assert f(np.ones(3), 1.0).shape == (3,)  # and the function lives on


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        ("float32", np.ones(2), r"is float32, but was fed float64.*lose information"),
        ("int64", np.ones(2), "is int64, but was fed float64"),
        ("int64", 1.5, "is int64, but was fed float64"),
        ("int8", 300, "is int8, but was fed"),
        ("float64", np.ones(2) + 1j, "complex128"),
        ("float64", np.array([None, 1.0], dtype=object), "object"),
        ("float64", "text", "str"),
        ("float64", [[1.0, 2.0], [3.0]], "ragged"),
        ("float64", None, "NoneType"),
        ("float64", 2**70, r"does not fit into 64 bits.*\n.*\n.*float\(x\)"),
        ("float64", [1, 2**70], "does not fit into 64 bits"),
        ("float64", Fraction(1, 3), r"Fraction(.*\n)+.*float\(x\)"),
        ("float64", np.array(["2020-01-01"], dtype="datetime64[D]"), "datetime64"),
        ("float64", np.ma.masked_array([1.0, 2.0], [True, False]), "masked array"),
        ("bool", np.array([0, 1]), "is bool, but was fed int64"),
    ],
)
def test_values_that_would_lose_something(dtype, value, message):
    x = sm.Variable("x", dtype=dtype)
    with pytest.raises(FeedError, match=message):
        sm.compile([x], x)(value)


def test_large_integers_beside_floats_are_floats():
    x = sm.Variable("x")
    assert (x * 2**70).eval({x: 1.0}) == 2.0**70
    with pytest.raises(GraphTypeError, match="1 024 bits"):
        x + 10**400


def test_nodes_in_formatted_text():
    x = sm.Variable("x")
    assert f"{x + 1:>8}|{x}" == "   x + 1|x"
    with pytest.raises(GraphTypeError, match="no value while the graph is being built"):
        f"{x:.3f}"


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("float32", 0.1, np.float32(0.1)),
        ("float32", [0.1, 2], np.array([0.1, 2], "float32")),
        ("float64", 3, np.float64(3)),
        ("float64", np.array([1, 2]), np.array([1.0, 2.0])),
        ("float64", np.array([1.5, 2], "float32"), np.array([1.5, 2.0])),
        ("int64", True, np.int64(1)),
        ("int8", 100, np.int8(100)),
        ("float64", np.arange(4.0)[::2], np.array([0.0, 2.0])),
        ("float64", np.array([1.0, 2.0], ">f8"), np.array([1.0, 2.0])),
    ],
)
def test_values_that_lose_nothing_are_taken(dtype, value, expected):
    x = sm.Variable("x", dtype=dtype)
    result = sm.compile([x], x)(value)
    assert result.dtype == expected.dtype and type(result) is type(expected)
    np.testing.assert_array_equal(result, expected)


def test_a_shape_that_was_declared():
    x = sm.Variable("x", shape=(2, None))
    f = sm.compile([x], x * 2)
    assert f(np.ones((2, 5))).shape == (2, 5)
    with pytest.raises(
        FeedError, match=r"'x' is f64\[2,\?\], but was fed an array of shape \(3, 5\)"
    ):
        f(np.ones((3, 5)))
    with pytest.raises(FeedError, match=r"shape \(2,\)"):
        f(np.ones(2))


def test_nodes_are_neither_true_nor_false():
    x = sm.Variable("x")
    with pytest.raises(GraphTypeError, match="sm.where"):
        if x > 0:
            pass
    with pytest.raises(GraphTypeError, match="logical_and"):
        bool(x > 0 and x < 1)


def test_equality_is_identity():
    x, y = sm.Variable("x"), sm.Variable("y")
    assert x == x and x != y and x in {x: 1}
    with pytest.raises(GraphTypeError, match="sm.equal"):
        x == 0.0  # noqa: B015
    with pytest.raises(GraphTypeError, match="sm.equal"):
        sm.where(x != np.zeros(2), 1.0, 2.0)


def test_a_python_bool_is_no_condition():
    x, y = sm.Variable("x"), sm.Variable("y")
    with pytest.raises(GraphTypeError, match="equal"):
        sm.where(x == y, 1.0, x)


def test_iterating_over_an_unknown_length():
    with pytest.raises(GraphTypeError, match="no known length"):
        for _ in sm.Variable("x"):
            pass
    rows = list(sm.Variable("x", shape=(2, 3)))
    assert [str(row.type) for row in rows] == ["f64[3]", "f64[3]"]


def test_nodes_cannot_be_changed():
    x = sm.Variable("x", shape=(3,))
    with pytest.raises(GraphTypeError, match="sm.set_at"):
        x[0] = 1.0


@pytest.mark.parametrize("convert", [float, int, np.asarray, np.float64])
def test_nodes_do_not_become_numbers(convert):
    with pytest.raises(GraphTypeError, match=r"eval\(\{"):
        convert(sm.Variable("x"))


def test_membership_needs_values():
    with pytest.raises(GraphTypeError, match="any"):
        1.0 in sm.Variable("x", shape=(3,))  # noqa: B015


def test_numpy_functions_without_counterpart():
    x = sm.Variable("x")
    with pytest.raises(GraphTypeError, match="numpy.spacing has no counterpart"):
        np.spacing(x)
    with pytest.raises(GraphTypeError, match=r"numpy.add.reduce"):
        np.add.reduce(x)
    with pytest.raises(GraphTypeError, match=r"numpy.add with out="):
        np.add(x, 1.0, out=np.zeros(3))


def test_text_is_not_a_number_and_a_name_comes_first() -> None:
    x = sm.Variable("x")
    for use in (lambda: sm.parameter(np.ones(3), "W"), lambda: x["cat"], lambda: x + "a"):
        with pytest.raises(GraphTypeError, match="is not a number") as caught:
            use()
        assert "parameter('W', value)" in str(caught.value)


def test_variables_need_names_and_dtypes():
    with pytest.raises(GraphTypeError, match="name must be text"):
        sm.Variable(3)
    with pytest.raises(GraphTypeError, match="complex128 is not supported"):
        sm.Variable("z", dtype=complex)
    with pytest.raises(ShapeError, match="-1 is not a dimension"):
        sm.Variable("z", shape=(-1,))


def nested(value, depth):
    for _ in range(depth):
        value = [value]
    return value


def test_lists_of_nodes_are_stacked():
    x, y = sm.Variable("x", shape=(3,)), sm.Variable("y")
    rows = np.array([1.0, 2.0, 4.0])
    assert sm.sum([x, x]).eval({x: rows}) == 14.0
    assert sm.mean([[y, 1.0], (2, y)]).eval({y: 4.0}) == 2.75
    np.testing.assert_array_equal((x * [y, 1.0, y]).eval({x: rows, y: 2.0}), [2.0, 2.0, 8.0])
    np.testing.assert_array_equal(sm.max([x, np.ones(3)], axis=0).eval({x: rows}), rows)
    assert sm.gradients(sm.linalg.norm([y, 3.0]), y).eval({y: 4.0}) == 0.8
    assert sm.sum(nested(y, 10)).type.shape == ()


def test_lists_of_nodes_have_one_dtype():
    """Numbers in rows without a node are as weak as those beside one."""
    x = sm.Variable("x", shape=(), dtype="float32")
    for rows in ([[x, 0], [1, 2.5]], [[1, 2.5], [x, 0]], [[True, 2], [x, x]]):
        assert sm.asarray(rows).type == sm.exp(rows).type == sm.reshape(rows, (2, 2)).type
        assert sm.max(rows).dtype == "float32"
    wide = sm.Variable("y", shape=(2,))
    assert sm.negative([[x, x], wide]).dtype == "float64"
    counts = sm.Variable("n", shape=(), dtype="int8")
    assert sm.abs([[counts, 3], [4, 5]]).dtype == "int8"


WRONG_CALLS = {
    "sum(): takes no keyword 'axs'. Did you mean 'axis'?": lambda x: sm.sum(x, axs=0),
    "exp(): takes no keyword 'axis'.": lambda x: sm.exp(x, axis=0),
    "add(): missing a required argument: 'y'": lambda x: sm.add(x),
    "add(): too many positional arguments": lambda x: sm.add(x, x, x),
    "multiply(): multiple values for argument 'x'": lambda x: sm.multiply(x, x=x),
    "cast(): takes no keyword 'dtyp'. Did you mean 'dtype'?": lambda x: sm.cast(x, dtyp="int8"),
    "linalg.norm(): takes no keyword 'axes'. Did you mean 'axis'?": lambda x: sm.linalg.norm(
        x, axes=0
    ),
    "ndtr(): takes no keyword 'y'.": lambda x: sm.special.ndtr(y=x),
    "gradients(): takes no keyword 'sed'. Did you mean 'seed'?": lambda x: sm.gradients(
        x, x, sed=1
    ),
    "interp(): takes no keyword 'lefft'. Did you mean 'left'?": lambda x: sm.interp(
        x, [0, 1], [0, 1], lefft=0
    ),
}


@pytest.mark.parametrize("message", WRONG_CALLS)
def test_arguments_that_a_function_does_not_take(message):
    with pytest.raises(GraphTypeError) as caught:
        WRONG_CALLS[message](sm.Variable("x", shape=(3,)))
    assert caught.value.message == message
    assert "test_bad_input.py" in caught.value.where
    assert caught.value.remedy.startswith("Its parameters are x") or "gradients" in message


NOT_CALLED_BY_USERS = ("latex_formula", "short_formula", "specialise", "stable_forms")


def test_every_function_explains_its_arguments():
    for name, function in list(FUNCTIONS.items()):
        if name in NOT_CALLED_BY_USERS:
            continue
        with pytest.raises((GraphTypeError, TypeError)) as caught:
            function(no_such_keyword=1)
        has_any = "**" in str(inspect.signature(function))
        made = isinstance(caught.value, GraphTypeError) or has_any
        assert made, f"{name}: {caught.value}"
        if not has_any:
            assert "takes no keyword 'no_such_keyword'" in str(caught.value), name


def test_errors_inside_a_function_stay():
    def fail(t):
        raise TypeError("inside")

    x = sm.Variable("x", shape=(3,))
    with pytest.raises(TypeError, match="^inside$"):
        sm.piecewise(x, [x > 0], [fail])


def test_a_function_keeps_its_name_module_and_signature():
    assert sm.sum.__module__ == "symad.ops.reduce" and sm.sum.__name__ == "sum"
    assert list(inspect.signature(sm.sum).parameters)[:2] == ["x", "axis"]
    assert list(inspect.signature(sm.exp).parameters) == ["x"]
    assert pickle.loads(pickle.dumps(sm.sum)) is sm.sum


def test_lists_of_nodes_that_cannot_be_stacked():
    x, y = sm.Variable("x", shape=(3,)), sm.Variable("y", shape=(2,))
    with pytest.raises(ShapeError, match=r"(?s)stack\(x: f64\[3\], y: f64\[2\]\).*made at"):
        sm.sum([x, y])
    with pytest.raises(GraphTypeError, match="nested 64 times"):
        sm.sum(nested(x, 100_000))
    with pytest.raises(GraphTypeError, match=r"(?s)sm.stack\(\[x, y\]\) for np.array"):
        sm.constant([x, x])
    with pytest.raises(FeedError, match="'y'.*cannot become an array"):
        sm.compile([y], y)([x, x])


FLAGS = [True, False, np.True_]


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize(
    "name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"]
)
def test_bools_are_no_numbers_beside_nodes(name, flag):
    operation = getattr(operator, name)
    x = sm.Variable("x", shape=(3,))
    for operands in ((x, flag), (flag, x)):
        with pytest.raises(GraphTypeError, match=r"\(x: f64\[3\]\).*compares identity") as caught:
            operation(*operands)
        assert "sm.equal(x, y)" in caught.value.remedy and "float(flag)" in caught.value.remedy
        assert "test_bad_input.py" in caught.value.where


def test_comparing_nodes_by_value_by_mistake():
    x, y = sm.Variable("x"), sm.Variable("y")
    for mistake in (lambda: (x == y) * x, lambda: x - (x != y), lambda: sm.multiply(x == y, x)):
        with pytest.raises(GraphTypeError, match="sm.equal"):
            mistake()


@pytest.mark.parametrize("flag", FLAGS)
def test_where_bools_are_meant(flag):
    x, b = sm.Variable("x"), sm.Variable("b", dtype="bool")
    assert (b & flag).eval({b: True}) == flag
    assert (flag | b).eval({b: False}) == flag
    assert (b ^ flag).eval({b: True}) != flag
    assert sm.equal(b, flag).eval({b: True}) == flag
    assert sm.where(b, flag, False).eval({b: True}) == flag
    assert ((x > 0) * x).eval({x: 3.0}) == 3.0
    np.testing.assert_array_equal((x * np.array([flag, True])).eval({x: 2.0}), [2 * flag, 2])


class Exchanged:
    """An array of another library that can only be exchanged."""

    def __init__(self, array, error=None):
        self.array, self.error = array, error

    def __dlpack__(self, **keywords):
        if self.error:
            raise self.error
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def detach(self):
        return Exchanged(self.array)


class Tensor(Exchanged):
    """The same with NumPy's protocol, as torch's tensors have it."""

    def __array__(self, dtype=None, copy=None):
        if self.error:
            raise self.error
        return self.array


@pytest.mark.parametrize("kind", [Exchanged, Tensor])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_arrays_of_other_libraries(kind, backend):
    x = sm.Variable("weights")
    value = kind(np.array([1.0, 2.0]))
    f = sm.compile([x], x * 2, backend=backend)
    for _ in range(3):  # calls of native code do not pass Python from the second on
        np.testing.assert_array_equal(f(value), [2.0, 4.0])
    np.testing.assert_array_equal((x + sm.constant(value) * value).eval({x: value}), [2.0, 6.0])
    error = RuntimeError("Can't call numpy() on Tensor that requires grad.")
    for _ in range(2):
        with pytest.raises(FeedError, match=r"'weights'.*requires grad") as caught:
            f(kind(value.array, error))
        assert "detach()" in caught.value.remedy
    with pytest.raises(GraphTypeError, match=r"(?s)requires grad.*made at"):
        x * kind(value.array, error)


class Series:
    """Like pandas' Series, which leaves an operator to an operand of higher priority."""

    __pandas_priority__ = 3000

    def __init__(self, values):
        self.values = np.array(values)

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __mul__(self, other):
        if getattr(other, "__pandas_priority__", 0) > self.__pandas_priority__:
            return NotImplemented
        return Series([value * other for value in self.values])


def test_pandas_leaves_operators_to_nodes():
    x = sm.Variable("x")
    np.testing.assert_array_equal((Series([1.0, 2.0]) * x).eval({x: 3.0}), [3.0, 6.0])


def test_weak_python_numbers_and_strong_arrays():
    x = sm.Variable("x", dtype="float32")
    assert (x * 2.5).dtype == np.float32
    assert (x * np.float64(2.5)).dtype == np.float64
    n = sm.Variable("n", dtype="int32")
    assert (n * 2).dtype == np.int32 and (n * 2.5).dtype == np.float64
    assert (n / 2).dtype == np.float64


def test_types_without_a_loop():
    flag = sm.Variable("flag", dtype="bool")
    with pytest.raises(GraphTypeError, match="subtract.*not defined for bool and bool"):
        flag - flag


def _calls_of_others(x: sm.Variable, s: sm.Variable) -> dict[str, Callable[[], Any]]:
    """Return programs that pass what is no function, or a function of other parameters."""
    return {
        "step": lambda: sm.scan(lambda c: c, 0.0, x),  # type: ignore[arg-type,misc]
        "no step": lambda: sm.scan(3, 0.0, x),  # type: ignore[arg-type]
        "branch": lambda: sm.cond(s > 0, s, s),  # type: ignore[arg-type]
        "operand": lambda: sm.cond(s > 0, lambda a: a, lambda: s),
        "cases": lambda: sm.switch(sm.cast(s, "int64"), [lambda: s, 3]),  # type: ignore[list-item]
        "condition": lambda: sm.while_loop(lambda: 3, lambda c: c, s),  # type: ignore[arg-type,misc]
        "body": lambda: sm.while_loop(lambda c: c < 3, lambda a, b: a, s),  # type: ignore[arg-type,misc]
        "count": lambda: sm.fori_loop(0, 3, lambda c: c, s),  # type: ignore[arg-type,misc]
        "vmap": lambda: sm.vmap(lambda a, b: a)(x),
        "keyword": lambda: sm.vmap(lambda a: a)(x, b=x),
        "map_over": lambda: sm.map_over(lambda a, b: a, [x]),
        "associative_scan": lambda: sm.associative_scan(lambda a: a, x),  # type: ignore[arg-type,misc]
        "custom": lambda: sm.custom(1, 2)(x),  # type: ignore[arg-type]
        "root": lambda: sm.root(3, s),  # type: ignore[arg-type]
        "fixed_point": lambda: sm.fixed_point(lambda: 3, s),  # type: ignore[arg-type,misc]
        "implicit": lambda: sm.implicit(1, 2)(s),  # type: ignore[arg-type]
        "piecewise": lambda: sm.piecewise(x, [x > 0], [lambda: 3]),
    }  # fmt: skip


@pytest.mark.parametrize("name", _calls_of_others(sm.Variable("x", (3,)), sm.Variable("s", ())))
def test_functions_that_take_no_such_arguments(name: str) -> None:
    call = _calls_of_others(sm.Variable("x", (3,)), sm.Variable("s", ()))[name]
    with pytest.raises(GraphTypeError, match=r"(?s)is called with \d argument.*Pass a function"):
        call()


def test_what_a_users_function_raises_stays_as_it_is() -> None:
    def step(carry: Any, element: Any) -> Any:
        raise TypeError("of the user's own")

    with pytest.raises(TypeError, match=r"^of the user's own$"):
        sm.scan(step, 0.0, sm.Variable("x", (3,)))


@pytest.mark.parametrize("wrong", [3, lambda: 3], ids=["number", "function"])
@pytest.mark.parametrize(
    "export",
    [sm.to_jax, sm.export_stablehlo, *(lambda f, e=e: e(f, "a.c") for e in
     (sm.export_c, sm.export_object, sm.export_onnx))],
    ids=["jax", "stablehlo", "c", "object", "onnx"],
)  # fmt: skip
def test_only_compiled_functions_are_exported(export: Callable[[Any], Any], wrong: Any) -> None:
    with pytest.raises(ExportError, match="not a compiled function"):
        export(wrong)


def test_words_and_dicts_are_checked_before_they_are_needed() -> None:
    x = sm.Variable("x", ())
    with pytest.raises(GradientError, match="unused is 'all'"):
        sm.gradients(x * 2, x, unused="all")  # type: ignore[call-overload]
    for what in ("updates", "givens"):
        with pytest.raises(GraphTypeError, match=f"{what} is .*not a dict"):
            sm.compile([x], x, **{what: [x]})


def test_one_number_is_no_window_where_there_are_no_axes_for_it() -> None:
    for pool in (sm.nn.max_pool, sm.nn.avg_pool):
        with pytest.raises(ShapeError, match=r"(?s)no axis to pool along.*window=\(2,\)"):
            pool(sm.Variable("x", (3, 4)), 2)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_what_no_memory_can_hold(backend: str) -> None:
    """A broadcast array takes no memory before it becomes an output."""
    n = sm.Variable("n", (), "int64")
    for y in (sm.zeros((n, n)), sm.arange(n * n) * 1.0):
        with pytest.raises(EvaluationError, match=r"(?s)(MemoryError|memory).*made at") as error:
            sm.compile([n], y, backend=backend)(10**8)
        assert __file__ in str(error.value)
