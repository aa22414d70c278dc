"""Functions with state, structures, hashes, refusals, and what errors say."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import SavedGraphError
from symad.graph.node import apply
from symad.graph.op import OP_CLASSES, Op
from symad.graph.provenance import RoleKind
from symad.saving.attributes import KINDS
from symad.types import TensorType, UnknownDim, UnknownShape
from tests.support import pictures
from tests.support.op_tables import restored
from tests.support.saved import (
    changed,
    loaded,
    members_of,
    packed,
    parsed,
    round_trip,
    saved,
)


def trained() -> sm.Function:
    """Return a function with arguments in structures, parameters, updates and settings."""
    x, y = sm.Variable("x", shape=("n", 3)), sm.Variable("y", shape=("n",), dtype="float32")
    w, count = sm.parameter("w", np.arange(36.0).reshape(3, 12)), sm.parameter("count", 0)
    with sm.scope("model"):
        loss = sm.sum((sm.sum(x @ w, axis=1) - y) ** 2)
    return sm.compile(
        {"data": x, "labels": [y]},
        (loss, {"count": count, 3: [w * 2]}),
        updates={w: w - 0.01 * sm.gradients(loss, w), count: count + 1},
        name="train",
        threads=2,
        rewrites="exact",
        backend="numpy",
    )


DATA = {"data": np.ones((2, 3)), "labels": [np.zeros(2, np.float32)]}


def test_a_function_comes_back_with_its_state() -> None:
    f = trained()
    f(DATA)
    g = round_trip(f)
    assert g.name == "train" and g.settings == f.settings and repr(g) == repr(f)
    assert [p.name for p in g.parameters] == ["w", "count"]
    for _ in range(2):
        (a, more), (b, others) = f(DATA), g(DATA)
        assert a == b and more["count"] == others["count"]
        np.testing.assert_array_equal(more[3][0], others[3][0])
    for p, q in zip(f.parameters, g.parameters, strict=True):
        np.testing.assert_array_equal(p.value, q.value)
    g(DATA)  # its parameters are its own
    assert f.parameters[1].value == 3 and g.parameters[1].value == 4


def test_parameters_are_no_part_of_the_meaning() -> None:
    f = trained()
    before = sm.fingerprint(f)
    f(DATA)
    after = sm.fingerprint(f)
    assert before.meaning == after.meaning and before.content != after.content
    assert len(after.meaning) == len(after.content) == 64


def test_what_changes_the_meaning() -> None:
    def program(
        name: str = "x", scale: Any = 2.0, shape: Any = ("n",), axis: int = 0, op: Any = sm.sin
    ) -> str:
        x = sm.Variable(name, shape=shape)
        return sm.fingerprint(sm.compile([x], sm.sum(op(x) * scale, axis=axis))).meaning

    found = [
        program(), program(name="y"), program(scale=3.0), program(shape=("m",)), program(axis=-1),
        program(op=sm.cos), program(shape=(3,)), program(scale=np.arange(1.0)),
    ]  # fmt: skip
    assert len(set(found)) == len(found) and program() == found[0]
    x = sm.Variable("x", shape=("n",))
    f = sm.compile([x], sm.sum(sm.sin(x) * 2.0, axis=0), name="other", threads=3)
    assert sm.fingerprint(f).meaning == found[0]


def test_large_constants_are_part_of_the_meaning() -> None:
    def meaning(last: float) -> str:
        return sm.fingerprint(sm.constant([*range(100), last])).meaning

    assert meaning(1.0) != meaning(2.0)
    array = members_of(saved(sm.constant(np.arange(100.0).reshape(10, 10).T)))["constants/0.npy"]
    np.testing.assert_array_equal(np.load(io.BytesIO(array)), np.arange(100.0).reshape(10, 10).T)


def test_an_array_that_graphs_share_is_stored_once() -> None:
    table = sm.constant(np.arange(100.0))
    total, _ = sm.scan(lambda c, i: (c + sm.sum(table * i), i), 0.0, sm.Variable("x", shape=(4,)))
    again = round_trip([total, table])
    assert [n for n in members_of(saved(again)) if n.endswith(".npy")] == ["constants/0.npy"]


Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize("provenance", [True, False])
def test_structures(provenance: bool) -> None:
    x, y = sm.Variable("x"), sm.Variable("y")
    z = x * y
    value = {"a": [x, (y, [], {})], 2: Pair(z, {None: z, (1, "k"): y, 1.5: x})}
    found = round_trip(value, provenance=provenance)
    assert [*found] == ["a", 2] and found["a"][1][1:] == ([], {})
    pair = found[2]
    assert pair.left is pair[0] and pair.right[None] is pair.left and type(pair).__name__ == "Pair"
    assert pair._fields == ("left", "right") and pair.right[1, "k"] is found["a"][1][0]
    assert found["a"][0].name == "x"
    assert round_trip(z, provenance=provenance).op.name == "multiply"
    assert round_trip([]) == [] and round_trip(()) == ()


def test_outputs_may_be_records() -> None:
    x = sm.Variable("x")
    f = round_trip(sm.compile(Pair(x, sm.Variable("y")), Pair(x + 1, [x])))
    found = f(1.0, 2.0)
    assert found.left == 2.0 and found.right == [1.0]


def test_an_inner_node_that_is_fed_becomes_an_input() -> None:
    x = sm.Variable("x")
    inner = sm.sin(x)
    f = round_trip(sm.compile([inner], inner * 2))
    assert f(sin=3.0) == f(3.0) == 6.0
    c = sm.constant(4.0)
    assert round_trip(sm.compile([c], c * 2))(5.0) == 10.0


def test_provenance_is_kept() -> None:
    x = sm.Variable("x")
    with sm.scope("outer"), sm.scope("inner"):
        y = sm.exp(x)
    gradient = sm.gradients(y * y, x)
    again = round_trip(gradient)
    assert again.site.describe() == gradient.site.describe()
    assert "test_saved_graphs.py" in again.site.filename and "y = sm.exp(x)" in again.site.source
    assert again.role is not None and again.role.kind is RoleKind.PARTIAL
    assert again.role.consumer.op.name == "exp"
    assert again.role.consumer.scope == ("outer", "inner")
    assert sm.draw(again).svg() == sm.draw(gradient).svg()
    assert str(sm.explain(again)) == str(sm.explain(gradient))
    assert pickle.loads(pickle.dumps(again)).site.source == again.site.source


@pytest.mark.parametrize("name", ["mapped", "recurrence", "condition", "nested_loops"])
def test_bodies_share_their_nodes_again(name: str) -> None:
    """A step that an adjoint loop computes again has one name in both loops."""
    nodes = list(pictures.CASES[name]()[0])
    assert sm.draw(loaded(saved(nodes))).svg() == sm.draw(nodes).svg()


def test_nodes_outside_are_kept_for_pictures_but_not_part_of_the_meaning() -> None:
    x, w = sm.Variable("x"), sm.parameter("w", np.arange(50.0))
    big = sm.constant(np.arange(60.0))
    loss = sm.sum(x * x) + sm.sum(w) + sm.sum(big)  # the gradient does not need the rest
    gradient = sm.gradients(loss, x)
    data = saved(gradient)
    assert {"outside/constants/0.npy", "outside/parameters/0.npy"} <= {*members_of(data)}
    again = round_trip(gradient)
    assert sm.draw(again).svg() == sm.draw(gradient).svg()
    bare = saved(gradient, provenance=False)
    assert [n for n in members_of(bare) if "outside" in n] == []
    assert loaded(bare).role is None
    assert sm.fingerprint(gradient).meaning == sm.fingerprint(gradient, provenance=False).meaning


def test_without_provenance_no_path_is_in_the_file() -> None:
    with sm.scope("secret scope"):
        y = sm.sin(sm.Variable("x")) * 2
    data = saved(sm.compile([], sm.gradients(sm.parameter("p", 1.0) * 2, []) or [sm.constant(1.0)]))
    assert b"test_saved_graphs" in data
    data = saved(y, provenance=False)
    for word in (b".py", b"secret", os.sep.encode(), b"sm.sin"):
        assert word not in data.replace(b"constants/", b"")
    node = loaded(data)
    assert node.site.describe() == "<saved graph>:0" and node.scope == ()


def test_hostile_text_in_lines_is_made_visible() -> None:
    data = saved(sm.Variable("x") * 2)

    def change(content: Any) -> None:
        content["lines"][0][2] = "x\x1b[2Jy"
        content["files"][0] = "a\nb"

    node = loaded(changed(data, "provenance.json", change))
    assert "\x1b" not in node.site.describe() and "\n" not in node.site.describe()
    round_trip(node)


PROGRAM = """
import os, sys
import symad as sm
if os.environ["PYTHONHASHSEED"] == "2":
    import symad.special, symad.stats
    sm.gradients(sm.sin(sm.Variable("q") * sm.Variable("r")), sm.Variable("q"), unused="zero")
def make():
    x, y = sm.Variable("x"), sm.Variable("y")
    a, b, c = (sm.Variable(n, shape=("n", None)) for n in "abc")
    z = x * y + a
    parts = sm.sum(z * b / (x + c))
    total, rows = sm.scan(lambda h, r: (h + sm.sum(r * z), h), sm.constant(0.0), b)
    loss = parts + total + sm.sum(rows)
    inner = x * y  # its shape joins two that nothing else tells apart
    return [sm.compile([x, y, a, b, c], [loss, sm.gradients(loss, [x, y, a, b])], backend="numpy"),
            sm.compile([inner, a], sm.gradients(sm.sum(inner * a), inner), backend="numpy")]
for k, f in enumerate(make()):
    found = sm.save(f, f"{sys.argv[1]}.{k}")
    print(found.meaning, found.content)
"""


def test_the_same_in_every_process(tmp_path: Path) -> None:
    """Whatever the hash seed, and whatever was imported and made before."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    found = []
    for seed in "012":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, str(script), str(tmp_path / seed)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append([done.stdout, *((tmp_path / f"{seed}.{k}").read_bytes() for k in range(2))])
    assert all(one == found[0] for one in found)


def test_unknown_dimensions_stay_the_same() -> None:
    a, b = sm.Variable("a", shape=(None, 2)), sm.Variable("b")
    same = a * a + a
    mixed, shaped = sm.exp(b * a), sm.reshape(b, a.shape)
    x, y, m, s = round_trip([a, same, mixed, shaped])
    assert x.type.shape == y.type.shape and isinstance(x.type.shape[0], UnknownDim)
    assert isinstance(m.type.shape, UnknownShape) and x.type.shape in m.type.shape.parts
    assert s.type.shape == x.type.shape
    assert s.op.dims[0] is x.type.shape[0]


# Attributes


def test_every_kind_of_attribute() -> None:
    """An op of one's own, with all that an op can have."""
    with restored():

        class Everything(Op):
            value: Any = None
            name = "everything"

            def infer(self, *types: Any) -> Any:
                return types[0]

        x = sm.Variable("x")
        body = sm.Graph([sm.sin(x)])
        values = (
            None, True, -5, 2**70, "text \ud800", 0.1, -0.0, float("inf"), (1, (2.5, ())), ...,
            np.dtype("float16"), UnknownDim(), UnknownShape.fresh(), x.type,
            x.type.with_shape((2,)), sm.structure((x, x)).type, body, OP_CLASSES["sin"](),
            (body, body), np.float32(0.1),
        )  # fmt: skip
        found = round_trip(apply(Everything(values), x)).op.value
        assert found[:5] == values[:5] and found[9:11] == values[9:11]
        assert [repr(f) for f in found[5:9]] == ["0.1", "-0.0", "inf", "(1, (2.5, ()))"]
        assert isinstance(found[11], UnknownDim) and isinstance(found[12], UnknownShape)
        assert isinstance(found[13], TensorType) and found[14].shape == (2,)
        assert found[16] is found[18][0] is found[18][1] and str(found[16]) == str(body)
        assert found[17] is OP_CLASSES["sin"]() and found[19] == float(np.float32(0.1))
        text = str(parsed(saved(apply(Everything(values), x)))["graph.json"])
        assert all(f"'{kind.name}':" in text for kind in KINDS)
        for bad in ([1], {1: 2}, b"x", np.arange(3), 1j, len, object(), 1 << 2000):
            with pytest.raises(SavedGraphError, match="attribute 'value': a .* cannot be saved"):
                saved(apply(Everything((bad,)), x))
        data = saved(apply(Everything(3), x))
    with pytest.raises(SavedGraphError, match="there is no op 'everything'") as error:
        loaded(data)
    assert "Import the module that defines it" in str(error.value)


def test_defaults_are_left_out() -> None:
    x = sm.Variable("x")
    ops = parsed(saved([sm.cumsum(x, axis=0), sm.softmax(x)]))["graph.json"]["ops"]
    assert ["cumsum", {"axis": 0}] in ops
    with restored():

        class Switch(Op):
            on: Any = True
            name = "switch_on"

            def infer(self, *types: Any) -> Any:
                return types[0]

        found = [n.op.on for n in round_trip([apply(Switch(on), x) for on in (True, 1, 1.0, None)])]
        assert list(map(repr, found)) == ["True", "1", "1.0", "None"]


# Refusals


def test_rules_are_refused() -> None:
    square = sm.custom(lambda a: a * a, reverse=lambda v, y, a: 2 * v * a, name="square")
    x = sm.Variable("x")
    with pytest.raises(SavedGraphError, match=r"'square' \(call\) cannot be saved") as error:
        saved(square(x) * 2)
    text = str(error.value)
    assert "test_saved_graphs.py" in text and "saved(square(x) * 2)" in text
    assert "Write the function without rules" in text
    with pytest.raises(SavedGraphError, match="'root'"):
        p = sm.Variable("p", shape=())
        saved(sm.compile([p], sm.root(lambda u: u * u - p, 1.0)))
    plain = sm.custom(lambda a: a * a, name="square")
    assert round_trip(sm.compile([x], sm.gradients(plain(x), x)))(3.0) == 6.0


def test_a_rule_outside_the_graph_is_no_obstacle() -> None:
    twice = sm.custom(lambda a: a * 2, reverse=lambda v, y, a: 2 * v, name="twice")
    x = sm.Variable("x", shape=())
    gradient = sm.gradients(twice(x), x)
    assert round_trip(sm.compile([x], gradient))(3.0) == 2.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3 is not a node"),
        ([sm.Variable("x"), None], "None is not a node"),
        ({sm.Variable: sm.Variable("x")}, "a key of a dict: a type cannot be saved"),
    ],
)
def test_other_values_are_refused(value: Any, text: str) -> None:
    with pytest.raises(SavedGraphError, match=text):
        saved(value)


def test_backends_that_are_not_registered_are_refused() -> None:
    from symad.backends.numpy import NumpyBackend

    x = sm.Variable("x")
    with pytest.raises(SavedGraphError, match="is not registered"):
        saved(sm.compile([x], x, backend=NumpyBackend()))


def test_another_backend() -> None:
    data = saved(sm.compile([sm.Variable("x")], sm.constant(1.0), backend="numpy"))
    assert loaded(data, backend="numpy").settings.backend.name == "numpy"
    missing = changed(data, "state.json", lambda s: s["settings"].update(backend="gpu"))
    with pytest.raises(SavedGraphError, match="there is no backend 'gpu'") as error:
        loaded(missing)
    assert 'load(path, backend="numpy")' in str(error.value)
    assert loaded(missing, backend="numpy")(1.0) == 1.0
    with pytest.raises(sm.errors.GraphTypeError):
        loaded(data, backend="gpu")  # type: ignore[arg-type]


# Files


def test_a_number_is_no_path() -> None:
    """The file that is open under it would be read and closed."""
    with pytest.raises(TypeError, match="not int"):
        sm.load(0)  # type: ignore[arg-type]


def test_paths(tmp_path: Path) -> None:
    x = sm.Variable("x")
    path = tmp_path / "f.symad"
    sm.save(sm.compile([x], x + 1), path)
    before = path.read_bytes()
    assert sm.load(path)(1.0) == sm.load(str(path))(1.0) == 2.0
    with pytest.raises(SavedGraphError):
        sm.save([3], path)
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]
    with pytest.raises(FileNotFoundError):
        sm.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        sm.save(x, tmp_path / "no" / "folder")


def test_no_recursion() -> None:
    y = x = sm.Variable("x", shape=())
    for _ in range(5_000):
        y = sm.sin(y) * x
    gradient = sm.gradients(y, x)
    assert len(sm.Graph([round_trip(gradient)])) == len(sm.Graph([gradient]))


def test_bodies_in_bodies() -> None:
    def nested(depth: int, x: Any) -> Any:
        f = sm.sin
        for _ in range(depth):
            f = sm.custom(lambda a, f=f: f(a) * 1.0, name="level")
        return f(x)

    y = nested(40, sm.Variable("x", shape=()))
    assert len(parsed(saved(y))["graph.json"]["graphs"]) == 41
    round_trip(y)


# What errors say


def as_file(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return file.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(SavedGraphError) as error:
        loaded(data)
    return str(error.value)


def test_what_is_no_archive() -> None:
    assert "no zip archive" in refusal(b"") and "no zip archive" in refusal(b"PK" * 100)
    assert "no member symad.json" in refusal(as_file({}))
    assert "a member 'evil.py', which no saved graph has" in refusal(as_file({"evil.py": b""}))
    members = members_of(saved(sm.Variable("x")))
    for name in ("graph.json", "state.json"):
        rest = {key: text for key, text in members.items() if key != name}
        assert f"it has no member {name}" in refusal(packed(rest))
    extra = {**members, "constants/7.npy": b"xx"}
    assert "constants/7.npy: nothing uses it" in refusal(packed(extra))


def test_compressed_and_repeated_members() -> None:
    members = members_of(saved(sm.Variable("x")))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
        archive.writestr("constants/0.npy", b"\0" * 10**7)
    assert "it is compressed" in refusal(file.getvalue())
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name, text in [*members.items(), *members.items()]:
            archive.writestr(name, text)
    assert "symad.json: there are two members of this name" in refusal(file.getvalue())


def test_versions_and_hashes() -> None:
    members = members_of(saved(sm.Variable("x")))
    head = members["symad.json"]
    newer = as_file({**members, "symad.json": head.replace(b'"version":1', b'"version":2')})
    assert "the version of the format is 2; this symad reads version 1" in refusal(newer)
    other = as_file({**members, "symad.json": head.replace(b"saved graph", b"saved cat")})
    assert "symad.json: the format is 'symad saved cat'" in refusal(other)
    text = members["graph.json"].replace(b'"x"', b'"y"')
    assert "the hash of the meaning is another" in refusal(as_file({**members, "graph.json": text}))
    text = members["provenance.json"].replace(b'"scopes":[', b'"scopes":[ ')
    damaged = as_file({**members, "provenance.json": text})
    assert "the hash of the content is another" in refusal(damaged)


def node(number: int, row: Any) -> Any:
    def change(content: Any) -> None:
        content["graphs"][0]["nodes"][number] = row

    return change


def op(number: int, row: Any) -> Any:
    return lambda content: content["ops"].__setitem__(number, row)


X = sm.Variable("x", shape=("n",))
FILE = saved([sm.sum(X * sm.constant([1.0, 2.0])), sm.constant(np.arange(20.0)), X.astype("int8")])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (node(2, [0, 0, 0, 7]), "graph 0: node 2: it has an input that does not come before it"),
        (node(2, [0, 0, 0, -1]), "node 2: it has an input that does not come before it"),
        (node(2, [0, 0, 0, True]), "node 2: it is not a leaf, nor an op"),
        (node(2, [9, 0, 0, 1]), "node 2: 9 is not the number of an op"),
        (node(2, [0, 9, 0, 1]), "node 2: 9 is not a number of types before it"),
        (node(2, [0, 0, 0]), "node 2: multiply cannot have 1 inputs"),
        (node(3, [1, 0, 2]), r"node 3: its type is f64\[n\], but sum gives f64\[\]"),
        (node(0, ["file", 0, "x"]), "node 0: 'file' is not a kind of leaf"),
        (node(1, ["constant", 1, "00"]), r"node 1: '00' is not the value of f64\[2\]"),
        (node(1, ["constant", 0, "00"]), r"node 1: a value cannot be f64\[n\]"),
        (node(1, ["constant", 1, "a/b"]), "node 1: there is no array 'a/b'"),
        (node(4, ["constant", 1, "constants/0.npy"]), "constants/0.npy: it is not an array of"),
        (op(0, ["mutliply"]), "op 0: there is no op 'mutliply'. Did you mean 'multiply'?"),
        (op(1, ["sum", {}]), "op 1: it is not the name of an op"),
        (op(1, ["sum", {"axis": "0"}]), "op 1: attribute 'axis' of sum: '0' is not Axis"),
        (op(1, ["sum", {"axes": 0}]), "op 1: sum has no attribute 'axes'"),
        (op(1, ["sum", {"keepdims": 1}]), "op 1: attribute 'keepdims' of sum: 1 is not bool"),
        (op(2, ["cast", {"dtype": {"dtype": "O"}}]), "attribute 'dtype' of cast: 'O' is not"),
        (lambda c: c["ops"].append(["sin"]), "op 3: no node uses it"),
        (lambda c: c["types"].__setitem__(0, {"dtype": "float64", "shape": [-1]}),
         "type 0: -1 is not a dimension"),
        (lambda c: c["types"].__setitem__(0, {"dtype": "float64", "shape": [2] * 65}), "type 0"),
        (lambda c: c["graphs"][0]["outputs"].pop(), "not in the order of a walk"),
        (lambda c: c["result"].update(nodes=0), "the nodes are not the outputs"),
        (lambda c: c["result"].update(more=0), "it is not a function, nodes or a graph"),
        (lambda c: c.update(code="print(1)"), "graph.json: it does not have the fields"),
    ],
)  # fmt: skip
def test_errors_say_where(change: Any, text: str) -> None:
    import re

    plain = text if "\\" in text else re.escape(text)
    assert re.search(plain, refusal(changed(FILE, "graph.json", change)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c["line"].pop(), "provenance.json: line: it does not have the number"),
        (lambda c: c["scope"].__setitem__(0, 5), "provenance.json: scope: it does not have"),
        (lambda c: c["names"].append([0, 1]), "provenance.json: names"),
        (lambda c: c["roles"].append([0, "boss", 1, None, 0]), "provenance.json: roles"),
        (lambda c: c["roles"].append([0, "seed", 1, None, 99]), "the role of node 0 is damaged"),
    ],
)
def test_errors_say_where_in_the_provenance(change: Any, text: str) -> None:
    assert text in refusal(changed(FILE, "provenance.json", change))


@pytest.mark.parametrize(
    "text",
    [b"[" * 10**6, b'{"types":1.5}', b'{"types":NaN}', b'{"a":1,"a":2}', b"\xff", b"", b"1" * 5000],
)
def test_what_is_no_json(text: bytes) -> None:
    members = {**members_of(FILE), "graph.json": text}
    assert "graph.json: it is not the JSON of a saved graph" in refusal(packed(members))


def test_the_schema_describes_every_file() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    import json

    schema = json.loads((Path(sm.__file__).parent / "saving" / "schema.json").read_text())
    check = jsonschema.Draft202012Validator(schema)
    from tests.saving.test_damage import corpus

    for data in (*corpus(), saved(trained()), FILE, saved(X, provenance=False)):
        check.validate(parsed(data))
    broken = parsed(FILE)
    broken["graph.json"]["ops"].append([3])
    assert not check.is_valid(broken)


# Files of other versions of symad, and other backends

VERSION_1 = Path(__file__).parent / "version_1.symad"


def example() -> sm.Function:
    """Return the program that was saved in ``version_1.symad``."""
    x, w = sm.Variable("x", shape=("n",)), sm.parameter("w", np.linspace(0.0, 1.0, 12))
    total, rows = sm.scan(lambda c, e: (c * 0.5 + e, c), 0.0, sm.sin(x))
    mixed = sm.cond(total > 0, lambda: sm.sum(x) * total, lambda: total) + sm.sum(w[::2] ** 2)
    loss = mixed + sm.sum(sm.softmax(x, axis=0) * rows)
    updates = {w: w - 0.1 * sm.gradients(loss, w)}
    return sm.compile([x], {"loss": loss, "slope": sm.gradients(loss, x)}, updates=updates)


def test_files_of_version_1_are_read() -> None:
    """Never write this file again: a newer format gets a new version, and a file of its own."""
    f, g = example(), sm.load(VERSION_1, backend="numpy")
    for _ in range(2):
        a, b = f([0.1, -0.2, 0.3]), g([0.1, -0.2, 0.3])
        np.testing.assert_allclose(b["loss"], a["loss"], rtol=1e-14)
        np.testing.assert_allclose(b["slope"], a["slope"], rtol=1e-13)


def test_the_same_machine_code() -> None:
    pytest.importorskip("llvmlite")
    f = example()
    g = loaded(saved(f))
    assert g.settings.backend is f.settings.backend
    for _ in range(2):
        a, b = f([0.1, -0.2, 0.3]), g([0.1, -0.2, 0.3])
        assert a["loss"] == b["loss"] and a["slope"].tobytes() == b["slope"].tobytes()
