"""GradBench's programs: values and derivatives against NumPy, SciPy and central differences."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.transform import Rotation

from benchmarks.gradbench import __main__ as tool
from benchmarks.gradbench import comparison, table

RNG = np.random.default_rng(0)


def answer(eval_name: str, function: str, given: Any) -> Any:
    """Return what the tool answers to a message of the suite."""
    message = {"id": 3, "kind": "evaluate", "module": eval_name, "function": function}
    response = json.loads(json.dumps(tool.respond(message | {"input": given})))
    assert response["success"], response.get("error")
    return response["output"]


def slopes(function: Any, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return the derivatives of a function of an array by central differences."""
    columns = []
    for k in range(x.size):
        moved = np.zeros(x.size)
        moved[k] = step
        moved = moved.reshape(x.shape)
        columns.append((np.asarray(function(x + moved)) - function(x - moved)) / (2 * step))
    return np.stack(columns, axis=-1)


def close(found: Any, expected: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


# the protocol


def test_messages_are_answered_line_by_line(monkeypatch, capsys):
    messages = [
        {"id": 0, "kind": "start", "eval": "hello"},
        {"id": 1, "kind": "define", "module": "hello"},
        {"id": 2, "kind": "evaluate", "module": "hello", "function": "square", "input": 3.0},
        {"id": 3, "kind": "analysis", "of": 2, "valid": True},
        {"id": 4, "kind": "evaluate", "module": "hello", "function": "double", "input": 9.0},
    ]
    lines = "".join(f"{json.dumps(message)}\n" for message in messages)
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    tool.main()
    start, define, square, analysis, double = map(json.loads, capsys.readouterr().out.splitlines())
    assert start == {"id": 0, "tool": "symad"}
    assert define == {"id": 1, "success": True}
    assert (square["output"], double["output"]) == (9.0, 18.0)
    assert analysis == {"id": 3}
    assert [timing["name"] for timing in square["timings"]] == ["evaluate"]


def test_each_run_is_timed():
    message = {"id": 0, "kind": "evaluate", "module": "lse", "function": "primal"}
    given = {"x": [0.0, 1.0], "min_runs": 4, "min_seconds": 0}
    timings = tool.respond(message | {"input": given})["timings"]
    assert len(timings) == 4
    assert all(timing["nanoseconds"] > 0 for timing in timings)


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "define", "module": "nothing"},
        {"kind": "evaluate", "module": "lse", "function": "primal", "input": {}},
    ],
)
def test_failures_are_answers(message):
    response = tool.respond({"id": 7} | message)
    assert response["id"] == 7
    assert not response["success"]
    assert "Traceback" in response["error"]


# the comparison with other tools

EVAL = """
import json, sys
def ask(**message):
    print(json.dumps(message), flush=True)
    return json.loads(sys.stdin.readline())
ask(id=0, kind="start", eval="lse")
assert ask(id=1, kind="define", module="lse")["success"]
for k, shift in enumerate([0.0, 1.0]):
    given = {"x": [0.0, 0.0], "min_runs": 2, "min_seconds": 0}
    question = {"kind": "evaluate", "module": "lse", "function": "primal", "description": str(k)}
    found = ask(id=2, input=given, **question)
    ask(id=3, kind="analysis", of=2, valid=abs(found["output"] - shift) < 0.9, error="far off")
ask(id=4, kind="evaluate", module="lse", function="secondal", input=given)
"""


def test_an_eval_is_run_and_wrong_answers_are_left_out(tmp_path):
    script = tmp_path / "python" / "gradbench" / "gradbench" / "evals" / "lse" / "run.py"
    script.parent.mkdir(parents=True)
    script.write_text(EVAL.replace("[0.0, 1.0]", "[0.0, 9.0]"))
    symad = comparison.Tool("symad", [sys.executable, "-m", tool.__name__], comparison.REPOSITORY)
    measured = comparison.run("lse", symad, tmp_path)
    assert list(measured.seconds) == [("primal", "0")]
    assert measured.failures[0] == "wrong answer: far off"
    assert "secondal" in measured.failures[1]


def test_a_tool_that_ends_is_reported(tmp_path):
    script = tmp_path / "python" / "gradbench" / "gradbench" / "evals" / "lse" / "run.py"
    script.parent.mkdir(parents=True)
    script.write_text(EVAL)
    ended = comparison.Tool("ended", [sys.executable, "-c", ""], tmp_path)
    assert "ended early" in comparison.run("lse", ended, tmp_path).failures[0]


def measured(**seconds: float) -> comparison.Measured:
    return comparison.Measured({("gradient", size): found for size, found in seconds.items()})


def test_ratios_and_their_geometric_mean():
    results = {
        "lse": {"symad": measured(a=2.0, b=8.0), "C++": measured(a=1.0, b=1.0)},
        "det": {"symad": measured(a=1.0), "C++": measured(a=1.0), "JAX": measured(a=4.0)},
        "ode": {"symad": measured(a=9.0), "C++": measured(a=1.0)},
    }
    text = table.section(results, "a machine")
    assert "symad ÷ C++: geometric mean 2 over 2 evals; the largest: lse gradient b 8" in text
    assert (
        "symad ÷ JAX: geometric mean 0.25 over 1 evals; the largest: det gradient a 0.25." in text
    )
    assert "| ode gradient | a | 9 s | 1 s; 9 | – | – |" in text


def test_the_page_keeps_its_section():
    old = "# Performance\n\n## GradBench\n\nrows\n\n## Notes\n\nold\n"
    assert table.kept(old, "# Performance\n\nnew\n") == (
        "# Performance\n\nnew\n\n## GradBench\n\nrows\n"
    )
    assert table.kept("# Performance\n", "new\n") == "new\n"


# the programs


def test_lse():
    x = RNG.random(20) * 900
    close(answer("lse", "primal", {"x": x.tolist()}), np.logaddexp.reduce(x))
    close(answer("lse", "gradient", {"x": x.tolist()}), np.exp(x - np.logaddexp.reduce(x)))


@pytest.mark.parametrize("n", [2, 7, 40])
def test_llsq(n):
    x = RNG.random(6)
    t = np.linspace(-1, 1, n)

    def objective(x):
        return np.sum((np.sign(t) - np.vander(t, len(x), increasing=True) @ x) ** 2) / 2

    given = {"x": x.tolist(), "n": n}
    close(answer("llsq", "primal", given), objective(x))
    close(answer("llsq", "gradient", given), slopes(objective, x))


def test_kmeans():
    points = RNG.random((50, 3))
    centroids = points[-4:]
    squares = np.sum((points[:, None] - centroids) ** 2, axis=2)
    nearest = np.argmin(squares, axis=1)
    step = [centroids[k] - points[nearest == k].mean(axis=0) for k in range(4)]
    given = {"points": points.tolist(), "centroids": centroids.tolist()}
    close(answer("kmeans", "cost", given), np.sum(squares.min(axis=1)))
    close(answer("kmeans", "dir", given), step)


def gmm_input(d: int, k: int, n: int) -> dict[str, Any]:
    shapes = {"x": (n, d), "alpha": (k,), "mu": (k, d), "q": (k, d), "l": (k, d * (d - 1) // 2)}
    arrays = {name: RNG.normal(size=shape).tolist() for name, shape in shapes.items()}
    return {"d": d, "k": k, "n": n, "m": 2, "gamma": 1.3, **arrays}


def log_posterior(given: dict[str, Any]) -> float:
    """Return the log posterior by SciPy's densities of the definition."""
    d, degrees = given["d"], given["d"] + given["m"] + 1
    alpha, x = np.array(given["alpha"]), np.array(given["x"])
    weights, total, likelihoods = np.exp(alpha) / np.sum(np.exp(alpha)), 0.0, 0.0
    for weight, mu, q, below in zip(weights, given["mu"], given["q"], given["l"], strict=True):
        triangle = np.diag(np.exp(q))
        triangle.T[np.triu_indices(d, 1)] = below
        precision = triangle.T @ triangle
        likelihoods += weight * stats.multivariate_normal.pdf(x, mu, np.linalg.inv(precision))
        total += stats.wishart.logpdf(precision, degrees, np.eye(d) / given["gamma"] ** 2)
    return total + np.sum(np.log(likelihoods))


def test_gmm():
    given = gmm_input(d=3, k=4, n=9)
    close(answer("gmm", "objective", given), log_posterior(given))
    found = answer("gmm", "jacobian", given)
    for name in ("alpha", "mu", "q", "l"):
        x = np.array(given[name])
        expected = slopes(lambda moved, name=name: log_posterior(given | {name: moved}), x)
        close(found[name], expected.reshape(x.shape), 1e-5)


@pytest.mark.parametrize("steps", [1, 3])
def test_ode(steps):
    x = RNG.random(6)

    def solution(x):
        def slope(y):
            return np.concatenate([x[:1], x[1:] * y[:-1]])

        y, h = np.zeros_like(x), 2 / steps
        for _ in range(steps):
            k1 = slope(y)
            k2 = slope(y + h * k1 / 2)
            k3 = slope(y + h * k2 / 2)
            y = y + h * (k1 + 2 * k2 + 2 * k3 + slope(y + h * k3)) / 6
        return y

    given = {"x": x.tolist(), "s": steps}
    close(answer("ode", "primal", given), solution(x))
    close(answer("ode", "gradient", given), slopes(lambda x: solution(x)[-1], x))


@pytest.mark.parametrize("size", [1, 2, 4, 5, 8])
def test_det(size):
    matrix = RNG.random((size, size))
    given = {"A": matrix.ravel().tolist(), "ell": size}
    value = np.linalg.det(matrix)
    close(answer("det", "primal", given), value)
    close(answer("det", "gradient", given), (value * np.linalg.inv(matrix).T).ravel())


def lstm_loss(main: np.ndarray, extra: np.ndarray, state: np.ndarray, text: np.ndarray) -> float:
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    state, total = state.copy(), 0.0
    for now, following in zip(text[:-1], text[1:], strict=True):
        x = now * extra[0]
        for k in range(0, len(main), 2):
            inputs = np.stack([x, state[k], x, state[k]])
            gates = inputs * main[k].reshape(4, -1) + main[k + 1].reshape(4, -1)
            forget, ingate, outgate = sigmoid(gates[:3])
            state[k + 1] = state[k + 1] * forget + ingate * np.tanh(gates[3])
            state[k] = x = outgate * np.tanh(state[k + 1])
        y = x * extra[1] + extra[2]
        total += following @ (y - np.log(np.sum(np.exp(y)) + 2))
    return -total / (len(text) - 1) / text.shape[1]


def test_lstm():
    main, extra, state = RNG.random((4, 12)), RNG.random((3, 3)), RNG.random((4, 3))
    text = RNG.integers(0, 2, (6, 3)).astype(float)
    names = "main_params", "extra_params", "state", "sequence"
    arrays = main, extra, state, text
    given = {name: array.tolist() for name, array in zip(names, arrays, strict=True)}
    close(answer("lstm", "objective", given), lstm_loss(*arrays))
    by_main = slopes(lambda main: lstm_loss(main, extra, state, text), main)
    by_extra = slopes(lambda extra: lstm_loss(main, extra, state, text), extra)
    close(answer("lstm", "jacobian", given), np.concatenate([by_main, by_extra]))


BA = {
    "n": 2,
    "m": 7,
    "p": 11,
    "cam": [0.1, -0.3, 0.2, 0.4, -0.6, 0.5, 1.3, 0.2, -0.1, 0.03, 0.02],
    "x": [0.7, -0.4, 2.1],
    "w": 0.8,
    "feat": [0.6, -0.2],
}


def reprojection(unknowns: np.ndarray) -> np.ndarray:
    """Return the errors of one observation; its unknowns are camera, point and weight."""
    camera, point, weight = unknowns[:11], unknowns[11:14], unknowns[14]
    seen = Rotation.from_rotvec(camera[:3]).apply(point - camera[3:6])
    flat = seen[:2] / seen[2]
    square = flat @ flat
    distorted = flat * (1 + camera[9] * square + camera[10] * square**2)
    return weight * (distorted * camera[6] + camera[7:9] - BA["feat"])


def test_ba():
    unknowns = np.array([*BA["cam"], *BA["x"], BA["w"]])
    found = answer("ba", "objective", BA)
    close(found["reproj_error"].pop("elements"), reprojection(unknowns))
    close(found["w_err"].pop("element"), 1 - BA["w"] ** 2)
    assert found == {"reproj_error": {"repeated": 11}, "w_err": {"repeated": 11}}

    found = answer("ba", "jacobian", BA)
    columns = [*range(11), *range(22, 25), 43]
    close(found["vals"], [*slopes(reprojection, unknowns).ravel(), -2 * BA["w"]])
    assert found["cols"] == [*columns, *columns, 53]
    assert found["rows"] == [*range(0, 331, 15), *range(331, 338), 341]


PARENTS = [-1, 0, *(0 if bone % 4 == 1 else bone - 1 for bone in range(2, 22))]


def hand_input(has_us: bool) -> dict[str, Any]:
    """Return a hand of 22 bones with 9 vertices, and 4 measured points."""
    transforms = np.tile(np.eye(4), (2, 22, 1, 1))
    transforms[..., :3, :] += 0.3 * RNG.normal(size=(2, 22, 3, 4))
    positions = np.concatenate([RNG.normal(size=(9, 3)), np.ones((9, 1))], axis=1)
    model = {
        "bone_count": 22,
        "bone_names": [f"bone {k}" for k in range(22)],
        "parents": PARENTS,
        "base_relatives": transforms[0].tolist(),
        "inverse_base_absolutes": transforms[1].tolist(),
        "base_positions": positions.tolist(),
        "weights": RNG.random((9, 22)).tolist(),
        "triangles": RNG.integers(0, 9, (5, 3)).tolist(),
        "is_mirrored": has_us,
    }
    return {
        "theta": RNG.normal(size=26).tolist(),
        "data": {
            "model": model,
            "correspondences": RNG.integers(0, 5, 4).tolist(),
            "points": RNG.normal(size=(4, 3)).tolist(),
        },
        "us": RNG.random((4, 2)).tolist() if has_us else [],
    }


def hand_errors(theta: np.ndarray, us: np.ndarray, given: dict[str, Any]) -> np.ndarray:
    """Return measured minus modelled points, bone by bone."""
    model, absolutes, skinned = given["data"]["model"], [], 0.0
    for bone, parent in enumerate(model["parents"]):
        finger, joint = divmod(bone - 2, 4)
        first = 6 + 4 * finger
        angles = {0: theta[first : first + 2], 1: [theta[(first + 2) % 26], 0]}
        bent = angles | {2: [theta[(first + 3) % 26], 0], 3: [0, 0]}
        x, z = bent[joint] if bone >= 2 else (0, 0)
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler("xz", [x, z]).as_matrix()
        relative = np.array(model["base_relatives"][bone]) @ turn
        absolutes.append(relative if parent == -1 else absolutes[parent] @ relative)
        moved = absolutes[bone] @ model["inverse_base_absolutes"][bone]
        weights = np.array(model["weights"])[:, bone, None]
        skinned += weights * (np.array(model["base_positions"]) @ moved.T)[:, :3]
    if model["is_mirrored"]:
        skinned[:, 0] *= -1
    hand = Rotation.from_rotvec(theta[:3]).apply(skinned) + theta[3:6]
    found = given["data"]["correspondences"]
    if len(us):
        corners = hand[np.array(model["triangles"])[found]]
        barycentric = np.column_stack([us, 1 - us.sum(axis=1)])
        modelled = np.einsum("pc,pci->pi", barycentric, corners)
    else:
        modelled = hand[found]
    return (np.array(given["data"]["points"]) - modelled).ravel()


@pytest.mark.parametrize("has_us", [False, True])
def test_ht(has_us):
    given = hand_input(has_us)
    theta, us = np.array(given["theta"]), np.array(given["us"])
    close(answer("ht", "objective", given), hand_errors(theta, us, given))
    expected = slopes(lambda theta: hand_errors(theta, us, given), theta)
    if has_us:
        by_us = slopes(lambda us: hand_errors(theta, us, given), us).reshape(4, 3, 4, 2)
        own = by_us[np.arange(4), :, np.arange(4)].reshape(12, 2)
        expected = np.concatenate([own, expected], axis=1)
    close(answer("ht", "jacobian", given), expected, 1e-5)


def crossing(w: float) -> float:
    """Return where the particle crosses the x axis, by Euler's method."""
    charges = np.array([[10, 10 - w], [10, 0]])
    x, velocity = np.array([0.0, 8.0]), np.array([0.75, 0.0])
    while x[1] + 0.1 * velocity[1] > 0:
        apart = x - charges
        force = np.sum(apart / np.linalg.norm(apart, axis=1, keepdims=True) ** 3, axis=0)
        x, velocity = x + 0.1 * velocity, velocity + 0.1 * force
    x = x + 0.1 * velocity
    return x[0] - x[1] / velocity[1] * velocity[0]


@pytest.mark.slow
@pytest.mark.parametrize("modes", ["rf"])
def test_particle(modes):
    w = answer("particle", modes, {"w": 0.0})
    assert abs(crossing(0.0)) > 1
    close(crossing(w), 0.0, 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("modes", ["fr", "rf"])
def test_saddle(modes):
    close(answer("saddle", modes, {"start": [1.0, -0.5]}), np.zeros(4), 1e-4)
