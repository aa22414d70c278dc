"""The benchmarks: each does the work that it says, and the clock's numbers are read rightly."""

from __future__ import annotations

import dataclasses
import doctest
import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import charts, machine, reader_page, report, suite, timing, worker
from benchmarks import workload as workload_module
from benchmarks.suite import Results
from benchmarks.workload import (
    Implementation,
    Target,
    WrongAnswer,
    built,
    check_answer,
    library_of,
    times_faster,
)
from benchmarks.workloads import WORKLOADS, derivatives, network, sparse

NETWORKS = ("network-step", "new-batch-size")
SPARSE = [name for name in WORKLOADS if "sparse" in name or "shooting" in name]

LIGHT = ("symad", "math", "numpy", "jax", "autograd", "casadi")

INSTALLED = [
    pytest.param(workload, label, id=f"{workload.name}-{label}")
    for workload in WORKLOADS.values()
    for label in workload.implementations
    if library_of(label) in LIGHT and machine.is_installed(library_of(label))
]


@pytest.fixture
def in_double_precision():
    """JAX computes in double precision only if it is told to."""
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(("workload", "label"), INSTALLED)
def test_answers_agree_with_numpy(workload, label, request):
    if library_of(label) == "jax":
        request.getfixturevalue("in_double_precision")
    built(workload, label, workload.inputs(*workload.tiny))


def along(reference, inputs, place, direction):
    """The central difference of the sum of the first value along a direction of one input."""
    ends = []
    for step in (1e-6, -1e-6):
        moved = list(inputs)
        moved[place] = moved[place] + step * direction
        ends.append(np.sum(reference(*moved)[0]))
    return (ends[0] - ends[1]) / 2e-6


def in_doubles(inputs):
    return [np.asarray(x, float) if np.asarray(x).dtype.kind == "f" else x for x in inputs]


OTHERS = {*NETWORKS, *SPARSE, *(workload.name for workload in derivatives.DERIVATIVES)}
"""Workloads that do not return a value and its gradients."""


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name not in OTHERS])
def test_references_are_gradients(name):
    workload = WORKLOADS[name]
    inputs = in_doubles(workload.inputs(*workload.tiny))
    rng = np.random.default_rng(1)
    for place, slope in enumerate(workload.reference(*inputs)[1:]):
        direction = rng.standard_normal(np.shape(inputs[place]))
        if name == "gaussian" and place == 1:
            direction += direction.T  # covariances are symmetric, and so is the gradient
        difference = along(workload.reference, inputs, place, direction)
        assert difference == pytest.approx(np.sum(slope * direction), rel=1e-6)


def test_the_reference_of_the_network_follows_its_gradient():
    workload = WORKLOADS["network-step"]
    inputs = in_doubles(workload.inputs(*workload.tiny))
    rng = np.random.default_rng(1)
    for place, new in zip((2, 3), workload.reference(*inputs)[1:], strict=True):
        slope = (inputs[place] - new) / network.RATE
        direction = rng.standard_normal(slope.shape)
        difference = along(workload.reference, inputs, place, direction)
        assert difference == pytest.approx(np.sum(slope * direction), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("sparse-jacobian", lambda x: sparse.chain(np, x)),
        ("sparse-hessian", lambda x: sparse.energy(np, x)),
        ("shooting-jacobian", lambda z: sparse.gaps(np, z)),
        ("shooting-hessian", lambda z, m: sparse.lagrangian(np, z, m)),
    ],
)
def test_the_references_of_sparse_workloads_are_derivatives(name, function):
    workload = WORKLOADS[name]
    x, *constants = workload.inputs(*workload.tiny)
    data, rows, columns = workload.reference(x, *constants)

    def value(point):
        return function(point, *constants)

    units = 1e-4 * np.eye(len(x))
    if "hessian" in name:
        pairs = [(value(x + a + b) + value(x - a - b)) - (value(x + a - b) + value(x - a + b))
                 for a in units for b in units]  # fmt: skip
        found = np.reshape(pairs, (len(x), len(x))) / 4e-8
    else:
        found = np.stack([(value(x + a) - value(x - a)) / 2e-4 for a in units], -1)
    expected = np.zeros_like(found)
    expected[rows, columns] = data
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_batch_sizes_are_new():
    workload = WORKLOADS["new-batch-size"]
    inputs = workload.inputs(*workload.tiny)
    calls = []

    def build(images, labels, first, second):
        return Implementation(lambda x, y: calls.append((len(x), len(y))), (images, labels))

    step = network.with_new_sizes(build)(*inputs)
    for _ in range(17):
        step.call(*step.arguments)
    assert calls == [(n, n) for n in (5, *range(6, 21), 6, 7)]


RIGHT = [np.float64(2.0), np.array([1.0, -4.0])]


def test_right_answers_pass():
    check_answer([2.0, np.array([1.0, -4.0 + 1e-12])], RIGHT, 1e-9)


@pytest.mark.parametrize(
    ("got", "reason"),
    [
        ([2.0, np.array([1.001, -4.0])], "wrong by 2.5e-04"),
        ([np.nan, RIGHT[1]], "value 0 is wrong by nan"),
        ([2.0, RIGHT[1].astype(np.float32)], "float32"),
        ([2.0, RIGHT[1][:, None]], r"\(2, 1\)"),
        ([2.0], "1 values instead of 2"),
        ([2.0, [1.0, -4.0]], "a list, not NumPy's"),
        ([2, RIGHT[1]], "a int, not NumPy's"),
    ],
)
def test_wrong_answers_are_caught(got, reason):
    with pytest.raises(WrongAnswer, match=reason):
        check_answer(got, RIGHT, 1e-9)


class Clock:
    """Time that passes only where a function says so."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def __call__(self):
        return self.now

    def function(self, name, costs):
        costs = iter(costs)

        def call(*arguments):
            self.log.append(name)
            self.now += next(costs)

        return timing.batch_of(call, (1.0, 2.0), self)


def test_a_batch_calls_with_the_arguments():
    seen = []
    timing.batch_of(lambda *arguments: seen.append(arguments), (1, "a"))(2)
    timing.batch_of(lambda *arguments: seen.append(arguments), ())(1)
    assert seen == [(1, "a"), (1, "a"), ()]


def test_batches_are_long_enough_and_take_turns():
    clock = Clock()
    batches = {
        "fast": clock.function("fast", itertools.repeat(0.25)),
        "slow": clock.function("slow", itertools.repeat(3.0)),
    }
    times = timing.interleaved(batches, rounds=2, least=1.0)
    assert times == {"fast": [0.25, 0.25], "slow": [3.0, 3.0]}
    warm_up = ["fast"] * (1 + 2 + 4) + ["slow"]
    assert clock.log == warm_up + (["fast"] * 4 + ["slow"]) * 2


def test_ratios_survive_a_machine_that_slows_down():
    mine, other = [1.0, 30.0, 2.0, 1.0, 8.0], [2.0, 60.0, 4.0, 2.0, 16.0]
    assert timing.ratio(mine, other) == (0.5, 0.5, 0.5)
    assert timing.spread([3.0]) == (3.0, 3.0, 3.0)
    assert timing.fastest({"a": [1.0, 1.0, 90.0], "b": [2.0, 2.0, 2.0]}) == "a"


TIMES = {"symad": [1.0, 2.0, 3.0], "jax": [9.0, 9.0, 9.0], "jax, on device": [2.0, 4.0, 6.0]}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(0.5, "jax"), ("0.5 × (jax, on device)", "yes")),
        (Target(0.49, "jax"), ("0.5 × (jax, on device)", "**no**")),
        (times_faster(2, "jax"), ("2 × faster (jax, on device)", "yes")),
        (times_faster(3, "jax"), ("2 × faster (jax, on device)", "**no**")),
        (Target(1.0, "jax, on device"), ("0.5 × (jax, on device)", "yes")),
        (Target(2.0), ("2 s", "yes")),
        (Target(1.9), ("2 s", "**no**")),
        (Target(1.0, "torch"), ("torch not measured", "–")),
        (Target(1.0, "jax", "symad, out="), ("symad, out= not measured", "**no**")),
    ],
)
def test_targets_are_judged(target, expected):
    assert report.judge(target, TIMES) == expected


def test_memory_is_judged():
    mega = 1_000_000
    workload = WORKLOADS["gaussian"]

    def last_cells(symad, torch_first, torch_calls, bound):
        sizes = {
            "symad": {"calls": symad, "first": 0, "bound": bound},
            "torch": {"calls": torch_calls, "first": torch_first, "bound": None},
        }
        text = report.memory_table([workload], Results(memory={"gaussian": sizes}))
        return text.splitlines()[-1].strip("| ").split(" | ")[-3:]

    assert last_cells(10 * mega, 12 * mega, 9 * mega, 10 * mega) == ["10.0 MB", "yes", "**no**"]
    assert last_cells(10 * mega, 9 * mega, 12 * mega, 8 * mega) == ["8.0 MB", "**no**", "**no**"]
    assert last_cells(10 * mega, 10 * mega, 9_600_000, None) == ["not known", "–", "yes"]


def test_first_answers_are_judged():
    first = {
        "gaussian": {
            "symad": {"fresh": [0.1, 0.2, 0.3], "again": [0.001]},
            "jax": {"fresh": [0.5, 1.0, 9.0], "again": [0.1]},
        }
    }
    fresh, again = report.first_answer_table(
        [WORKLOADS["gaussian"]], Results(first=first)
    ).splitlines()[2:]
    assert fresh.endswith("| fresh | 200 ms | 1 s | 0.2 × | **no** |")
    assert again.endswith("| again | 1 ms | 100 ms | 0.01 × | yes |")


def test_targets_in_words():
    assert report.describe(times_faster(40, "jax")) == "≥ 40 × faster than jax"
    assert report.describe(Target(0.5, "math")) == "≤ 0.5 × math"
    assert report.describe(Target(0.005)) == "≤ 5 ms"


def test_targets_name_what_is_measured():
    for workload in WORKLOADS.values():
        for target in workload.targets:
            assert target.subject in workload.implementations
            assert target.peer is None or target.peer in workload.implementations


def tiny(name):
    workload = WORKLOADS[name]
    return dataclasses.replace(workload, size=workload.tiny)


def test_a_failing_implementation_does_not_stop_the_others():
    def fails(*inputs):
        raise RuntimeError("no compiler\nand more")

    workload = tiny("small-matrix")
    wrong = workload.implementations["numpy"]
    twice = {"numpy": wrong, "numpy, fails": fails, "numpy, wrong": lambda x, w: wrong(2 * x, w)}
    workload = dataclasses.replace(workload, implementations=twice)
    found = worker.speed(workload, list(twice), quick=True)
    assert list(found["times"]) == ["numpy"]
    assert len(found["times"]["numpy"]) == 5
    assert found["failures"]["numpy, fails"] == "RuntimeError: no compiler"
    assert found["failures"]["numpy, wrong"].startswith("wrong answer: value 0 is wrong by")


def test_memory_counts_what_a_call_holds(tmp_path):
    """In a process of its own: where others ran before, memory they freed hides what is taken."""
    if not machine.Path("/proc/self/clear_refs").exists():
        pytest.skip("peak memory is measured on Linux only")
    workload = WORKLOADS["elementwise-value"]
    found = suite.run_worker("memory", workload, ["numpy"], True, str(tmp_path))
    assert 8e6 < found["calls"] < 40e6  # a result and one or two temporaries of 8 MB
    assert found["bound"] is None


def test_first_answers_are_built_from_nothing_each_time():
    found = worker.first(tiny("gaussian"), ["symad"], quick=True)
    assert found["fresh"] > 0
    assert len(found["again"]) == 1


def test_workers_that_crash_are_reported(tmp_path):
    crashes = dataclasses.replace(WORKLOADS["gaussian"], name="unknown")
    with pytest.raises(suite.WorkerFailed, match="KeyError: 'unknown'"):
        suite.run_worker("speed", crashes, ["symad"], True, str(tmp_path))
    results = suite.measure_all([crashes], [], True, lambda line: None)
    assert {label for _, label, _ in results.failures} == {"all", "symad", "numpy"}
    too_many = dataclasses.replace(WORKLOADS["gaussian"], threads=10_000)
    results = suite.measure_all([too_many], [], True, lambda line: None)
    assert results.failures == [("gaussian", "all", "there are not 10000 cores")]


def test_the_page_from_the_command_line(tmp_path, capsys):
    page = tmp_path / "measurements.md"
    arguments = ["--quick", "--only", "running-example", "--peers", "casadi"]
    assert command.main([*arguments, "--output", str(page)]) == 0
    text = page.read_text()
    assert "`python -m benchmarks --quick --only running-example --peers casadi" in text
    assert f"NumPy {np.__version__}".lower() in text.lower()
    for heading in ("Targets", "to the first answer", "Peak memory", "All measurements"):
        assert heading in text
    assert "| ≥ 40 × faster than jax | jax not measured | – |" in text
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--peers", "numpy"]])
def test_unknown_names_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert "is none of" in capsys.readouterr().err


def test_a_page_without_measurements_says_so():
    workloads = list(WORKLOADS.values())
    page = report.measurements_page(workloads, Results(), {"date": "today"}, "## Notes")
    assert page.count("Not measured.") == len(workloads)
    assert page.endswith("## Notes\n")
    assert "yes" not in page.replace("says", "")


def test_the_page_for_readers_is_written_from_the_measurements(tmp_path):
    docs = reader_page.DOCS
    (tmp_path / "measurements.md").write_text((docs / "measurements.md").read_text())
    reader_page.main([str(tmp_path / "measurements.md")])
    for path in (docs / "performance.md", *(docs / "images" / "performance").iterdir()):
        written = tmp_path / path.relative_to(docs)
        assert written.read_text() == path.read_text(), "run python -m benchmarks.reader_page"


def test_the_page_for_readers_has_what_was_measured(tmp_path):
    workload = WORKLOADS["hmm"]
    times = {"symad": [0.002] * 3, "jax": [0.005] * 3, "jax, arrays on device": [0.003] * 3}
    text = report.measurements_page(
        list(WORKLOADS.values()),
        Results(times={"hmm": times}),
        {"date": "today", "machine": "a machine", "versions": "symad 1"},
    )
    measured = reader_page.read_measurements(text)
    assert list(measured.speeds) == [workload.title]
    (speed,) = [s for n, s in measured.speeds[workload.title].items() if n.endswith("device")]
    assert (speed.seconds, speed.ratio) == (0.003, 1.5)
    page = reader_page.reader_page(measured)
    assert "| hidden Markov model, 16 states | 2\xa0ms | 1.5\xa0× |" in page
    alone = {"hmm": {"symad": [0.1]}, "running-example": {"symad": [0.1], "math": [0.1]}}
    facts = {"date": "today", "machine": "a machine", "versions": "symad 1"}
    text = report.measurements_page(list(WORKLOADS.values()), Results(times=alone), facts)
    assert "Python's math" in reader_page.reader_page(reader_page.read_measurements(text))
    chart = charts.dot_chart({"a < b": {"jax": 1.5}, "c": {"math": 0.001}}, "what")
    assert ElementTree.fromstring(chart).tag.endswith("svg") and "a &lt; b" in chart


@pytest.mark.parametrize("module", [timing, report, workload_module, reader_page, charts])
def test_examples_in_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
