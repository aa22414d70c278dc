"""Memory: where values stand in an arena, and what the account of a plan says against what runs."""

from __future__ import annotations

import gc
import math
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symad as sm
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.scalar_programs import OF_NUMBERS
from symad.backends.native.memory_pool import LARGE
from symad.backends.native.program import NativeProgram, Segment
from symad.backends.numpy import numpy_program
from symad.errors import EvaluationError
from symad.graph.nested import leaves
from symad.plan import buffer_assignment as arrange_module
from symad.plan.buffer_assignment import (
    BufferUse,
    Lifetime,
    Storage,
    StorageKind,
    arrange,
    assign,
)
from symad.plan.liveness import spans
from symad.plan.memory import BlockKind
from symad.plan.plan import make_plan
from symad.runtime import memory_check
from symad.types import SparseType

ALIGNMENT = 64

LIFETIMES = st.lists(
    st.builds(
        lambda size, first, length: Lifetime(size, first, first + length),
        st.integers(0, 5000),
        st.integers(0, 30),
        st.integers(0, 12),
    ),
    max_size=40,
)


def live_at(lifetimes, step):
    return sum(life.size for life in lifetimes if life.first <= step <= life.last)


def assert_apart(lifetimes, offsets):
    """No two values that are needed at the same step share a byte."""
    for i, (one, place) in enumerate(zip(lifetimes, offsets, strict=True)):
        for other, its in zip(lifetimes[:i], offsets, strict=False):
            together = one.first <= other.last and other.first <= one.last
            overlap = place < its + other.size and its < place + one.size
            assert not (together and overlap and one.size and other.size)


@given(LIFETIMES)
def test_values_that_live_together_stand_apart(lifetimes):
    layout = arrange(lifetimes, ALIGNMENT)
    assert_apart(lifetimes, layout.offsets)
    assert all(offset % ALIGNMENT == 0 for offset in layout.offsets)
    ends = [o + life.size for o, life in zip(layout.offsets, lifetimes, strict=True)]
    assert max(ends, default=0) <= layout.size
    assert layout.lower_bound == max((live_at(lifetimes, step) for step in range(50)), default=0)


@pytest.mark.parametrize("place", arrange_module._PLACEMENTS)
@given(lifetimes=LIFETIMES)
@settings(max_examples=50)
def test_each_placement_is_right(place, lifetimes):
    assert_apart(lifetimes, place(lifetimes, [life.size for life in lifetimes]))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), max_size=50))
def test_values_of_one_size_waste_nothing(spans):
    layout = arrange([Lifetime(256, first, first + length) for first, length in spans])
    assert layout.size == layout.lower_bound


def test_memory_that_a_forward_part_keeps_is_used_again():
    """Residuals pile up and are taken off again, with temporaries of other sizes between."""
    count = 1000
    kept = [Lifetime(4096, 3 * i, 6 * count - 3 * i) for i in range(count)]
    passing = [Lifetime(10240, 3 * i, 3 * i + 2) for i in range(2 * count)]
    layout = arrange(kept + passing)
    assert layout.size <= 1.1 * layout.lower_bound


def test_nothing_takes_no_memory():
    assert arrange([]) == arrange_module.Arrangement((), 0, 0)
    assert arrange([Lifetime(0, 0, 3)]) == arrange_module.Arrangement((0,), 0, 0)


COMPILED = [
    workload
    for workload in WORKLOADS.values()
    if "symad" in workload.implementations and workload not in OF_NUMBERS
]


def compiled(workload):
    """The function of a workload after some calls, with all arrays of results given up."""
    implementation = workload.implementations["symad"](*workload.inputs(*workload.size))
    for _ in range(3):
        implementation.call(*implementation.arguments)
    if not isinstance(implementation.call, sm.Function):
        pytest.skip("a new size in each call")
    return implementation.call


def padding(use):
    """What alignment may cost."""
    return ALIGNMENT * (len(use.made) + 1)


@pytest.mark.parametrize("workload", COMPILED, ids=lambda w: w.name)
def test_plans_of_the_benchmarks_are_near_their_bound(workload):
    use = compiled(workload).plan.memory
    assert use.lower_bound <= use.peak <= 1.1 * use.lower_bound + padding(use)


def held(function):
    """The bytes that a native function keeps from call to call, and those of small results.

    Parameters are given, and so is the memory in which the next call finds their values.
    """
    program = function.specialised().program
    given = [parameter.value.ctypes.data for parameter in function.parameters]
    kept = 0
    for memory, _ in (pair for some in function._workspace._kept.values() for pair in some):
        begin = memory.ctypes.data
        if not any(begin <= address < begin + memory.nbytes for address in given):
            kept += memory.nbytes
    sources = [program._whole] if program._whole else [step.source for step in program._steps]
    arenas = [source.code.arena for source in sources if isinstance(source, Segment)]
    sizes = [node.type.nbytes for node in program.plan.graph.outputs]
    return kept + sum(arenas) + sum(size for size in sizes if size < LARGE)


@pytest.mark.parametrize("workload", COMPILED, ids=lambda w: w.name)
def test_native_programs_hold_little_more_than_their_bound(workload):
    """Arenas, results and what they are made in: all that was ever allocated is still there."""
    pytest.importorskip("llvmlite")
    function = compiled(workload)
    if not isinstance(function.specialised().program, NativeProgram):
        pytest.skip("a function of numbers needs no memory")
    use = function.plan.memory
    assert held(function) <= 1.1 * use.lower_bound + padding(use)


@pytest.mark.parametrize("workload", COMPILED, ids=lambda w: w.name)
def test_native_calls_make_nothing_but_results(workload):
    """Rows that large nests keep between their stages are new in each call, and small.

    So are results too small to be worth using again.
    """
    pytest.importorskip("llvmlite")
    implementation = workload.implementations["symad"](*workload.inputs(*workload.size))
    if not isinstance(implementation.call, sm.Function):
        pytest.skip("a new size in each call")
    most, _ = grown(implementation.call, implementation.arguments, calls=3)
    plan = implementation.call.plan
    types = [node.type for node in plan.graph.outputs]
    sparse = sum(type_.nbytes for type_ in types if isinstance(type_, SparseType))  # by NumPy
    small = sum(type_.nbytes for type_ in types if type_.nbytes < LARGE)
    assert most < 0.08 * plan.lower_bound + 1.2 * sparse + max(10_000, small + 1_000)


LARGE_MODELS = [workload for workload in COMPILED if workload.once]


@pytest.mark.parametrize("workload", LARGE_MODELS, ids=lambda w: w.name)
def test_runs_on_numpy_take_what_plans_say(workload):
    """Kernels such as sigmoid take memory of their own for a moment: three times their result."""
    arguments = workload.inputs(*workload.size)
    function = workload.implementations["symad"](*arguments).call
    if not isinstance(function, sm.Function) or function.settings.threads > 1:
        pytest.skip("not a function of one size")
    f = sm.compile(function.inputs, function.outputs, dict(function.updates), backend="numpy")
    given = workload.implementations["symad"](*arguments).arguments
    f(*given)
    plan = f.plan
    largest = max(step.node.type.nbytes for step in plan.instructions)
    most, _ = grown(f, given, calls=1)
    assert most < plan.lower_bound + 3 * largest + 100_000


# What plans say


def memory_of(value):
    """The arrays that own the memory of a value, with their bytes."""
    owners = {}
    for leaf in leaves(value):
        while isinstance(getattr(leaf, "base", None), np.ndarray):
            leaf = leaf.base
        owners[id(leaf)] = (leaf, leaf.nbytes)
    return owners


def observed(plan, values):
    """Run a plan step by step, and add up the memory of what registers hold in each."""
    program = numpy_program(plan)
    registers = dict(zip(plan.inputs, values, strict=True))
    registers.update((register, constant.value) for register, constant in plan.constants)
    given = {key for value in registers.values() for key in memory_of(value)}
    found = []
    for step, code in zip(plan.instructions, program._code, strict=True):
        kernel, inputs, output, frees, overwrites = code
        arguments = [registers[register] for register in inputs]
        options = {} if overwrites is None else {"out": registers[overwrites]}
        result = kernel(*arguments, **options)
        held = {}
        for value in (*registers.values(), result):
            held.update(memory_of(value))
        found.append(sum(size for key, (_, size) in held.items() if key not in given))
        for register in (*frees, step.output):
            registers.pop(register, None)
        registers[output] = result
    return found


def chain(x):
    y = sm.exp(x)
    return [sm.sum(sm.sin(y) * sm.cos(y) + y), y]


def residual(x):
    y = sm.sum(sm.sin(sm.exp(x)) @ x)
    return [y, sm.gradients(y, x)]


def parts(x):
    y = x * 2
    return [sm.concatenate([y[:3].T, y[3:].T]) @ y[:3, :2], sm.reshape(y + 1, (-1,))]


def decomposed(x):
    u, s, v = sm.linalg.svd(x)
    return [u * 2, sm.sum(s), v.T]


def in_steps(x):
    for _ in range(4):
        x = sm.tanh(x @ x.T / 10) @ x
    return [x]


MODELS = [chain, residual, parts, decomposed, in_steps]


@pytest.mark.parametrize("model", MODELS)
def test_the_account_is_what_registers_hold(model):
    x = sm.Variable("x", shape=(6, 6))
    graph = sm.Graph(model(x), [x])
    plan = make_plan(graph)
    value = np.random.default_rng(0).normal(size=(6, 6))
    assert list(plan.memory.live[:-1]) == observed(plan, [value])
    assert plan.lower_bound == max(plan.memory.live) == plan.memory.live[plan.memory.peak_step]


def test_inputs_and_constants_are_not_counted():
    x = sm.Variable("x", shape=(100,))
    use = make_plan(sm.Graph([sm.sum(x * sm.constant(np.ones(100)))], [x])).memory
    assert [block.kind for block in use.blocks[:2]] == [BlockKind.INPUT, BlockKind.CONSTANT]
    assert use.lower_bound == 808


def test_outputs_that_are_views_or_given_twice_count_again():
    x = sm.Variable("x", shape=(10, 20))
    y = x + 1
    use = make_plan(sm.Graph([y, y.T, y], [x])).memory
    assert use.live == (1600, 1600, 3 * 1600)
    assert [block.kind for block in use.blocks[2:]] == [BlockKind.OUTPUT] * 3


def test_residuals_cross_from_the_forward_to_the_backward_part():
    x, w = sm.Variable("x", shape=(5, 4)), sm.Variable("w", shape=(4, 3))
    y = sm.sum(sm.exp(x @ w))
    plan = make_plan(sm.Graph([y, sm.gradients(y, w)], [x, w]))
    assert [block.values[0].label for block in plan.memory.residuals] == ["exp"] or [
        [value.label for value in block.values][:2] for block in plan.memory.residuals
    ] == [["matmul", "exp"]]


def test_loop_nests_say_which_part_reads():
    x = sm.Variable("x", shape=(300, 400))
    y = sm.sum(sm.tanh(x @ x.T) @ x)
    use = sm.compile([x], [y, sm.gradients(y, x)]).plan.memory
    assert math.prod((300, 300)) * 8 in [block.size for block in use.residuals]


def test_plans_with_unknown_sizes_have_no_account():
    x = sm.Variable("x", shape=("n",))
    plan = make_plan(sm.Graph([sm.sin(x)], [x]))
    assert plan.memory is None and plan.lower_bound is None


# Calls that need more than there is

WIDTH = 3000
"""So many squared doubles are more than what is checked."""


def outer(**options):
    x = sm.Variable("x", shape=("n",))
    return sm.compile([x], sm.sum(sm.exp(x[:, None] @ x[None, :])), name="outer", **options)


@pytest.fixture(params=["numpy", "native"])
def backend(request):
    if request.param == "native":
        pytest.importorskip("llvmlite")
    return request.param


def test_calls_that_need_too_much_are_refused(backend):
    """The real limit of this machine, and an array that no machine has."""
    f = outer(backend=backend)
    assert f(np.ones(3)) == pytest.approx(9 * np.e)
    for _ in range(2):
        with pytest.raises(EvaluationError, match=r"outer needs 2.25e\+03 TB of memory beside"):
            f(np.broadcast_to(1.0, 1 << 24))
    assert f(np.ones(3)) == pytest.approx(9 * np.e)


def test_the_message_says_what_takes_most_and_where(backend, monkeypatch):
    if memory_check.available_memory() is None:
        pytest.skip("this system does not say how much memory there is")
    monkeypatch.setattr(memory_check, "available_memory", lambda: 50_000_000)
    with pytest.raises(EvaluationError) as info:
        outer(backend=backend)(np.ones(WIDTH))
    message = str(info.value)
    assert "needs 72 MB of memory besides its inputs, but only 50 MB is available" in message
    assert "72 MB of that is for" in message
    assert "f64[3000,3000]" in message and "test_memory.py" in message


def test_parameters_stay_if_a_call_is_refused(backend, monkeypatch):
    w = sm.parameter("w", np.ones(WIDTH))
    f = sm.compile([], sm.sum(w[:, None] @ w[None, :]), updates={w: w + 1}, backend=backend)
    monkeypatch.setattr(memory_check, "available_memory", lambda: 50_000_000)
    with pytest.raises(EvaluationError, match="only 50 MB is available"):
        f()
    assert (w.value == 1).all()


def test_small_calls_do_not_ask(backend, monkeypatch):
    monkeypatch.setattr(memory_check, "available_memory", lambda: pytest.fail("asked"))
    assert outer(backend=backend)(np.ones(100)) == pytest.approx(1e4 * np.e)


def test_calls_that_take_new_memory_ask_each_time(monkeypatch):
    asked = []
    monkeypatch.setattr(memory_check, "available_memory", lambda: asked.append(1) or 1 << 40)
    f = outer(backend="numpy")
    for _ in range(3):
        f(np.ones(WIDTH))
    assert len(asked) == 3


def test_plans_of_any_size_can_be_looked_at(backend):
    x = sm.Variable("x", shape=(1 << 24,))
    f = sm.compile([x], sm.sum(sm.exp(x[:, None] @ x[None, :])), backend=backend)
    assert f.plan.lower_bound >= 1 << 51


SYSTEM = "MemTotal: 9000 kB\nMemAvailable:    8000 kB\nSwapFree: 500 kB\n"

GROUPS = {
    "none": ("", {}, 8500 * 1024),
    "unlimited": ("0::/a\n", {"a/memory.max": "max", "a/memory.current": "1"}, 8500 * 1024),
    "limited": (
        "0::/a/b\n",
        {
            "a/memory.max": "5000000",
            "a/memory.current": "2000000",
            "a/memory.stat": "active_file 7\ninactive_file 1000\n",
            "a/b/memory.max": "max",
            "a/b/memory.current": "100",
        },
        3_001_000,
    ),
    "first version": (
        "3:cpu:/\n4:memory,other:/x\n",
        {"memory/memory.limit_in_bytes": "100", "memory/memory.usage_in_bytes": "120"},
        0,
    ),
}


@pytest.mark.parametrize("case", GROUPS)
def test_limits_of_containers_count(case, tmp_path, monkeypatch):
    groups, files, expected = GROUPS[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    read = memory_check._text
    proc = {"/proc/meminfo": SYSTEM, "/proc/self/cgroup": groups}
    monkeypatch.setattr(memory_check, "_text", lambda path: proc.get(path) or read(path))
    monkeypatch.setattr(memory_check, "_GROUPS", str(tmp_path))
    assert memory_check.available_memory() == expected


def test_other_systems_do_not_say(monkeypatch):
    monkeypatch.setattr(memory_check, "_text", lambda path: "")
    assert memory_check.available_memory() is None
    assert outer(backend="numpy")(np.ones(WIDTH)) == pytest.approx(WIDTH**2 * np.e)


# Steady state


def network(backend, rows, width=300):
    """A training step whose large values are those of JAX's and PyTorch's examples, smaller."""
    rng = np.random.default_rng(0)
    x, y = sm.Variable("x", shape=(rows, width)), sm.Variable("y", shape=(rows, 10))
    w = sm.parameter("w", rng.normal(size=(width, width)) / width)
    v = sm.parameter("v", rng.normal(size=(width, 10)) / width)
    loss = -sm.mean(sm.sum(sm.log_softmax(sm.tanh(x @ w) @ v) * y, axis=1))
    slopes = sm.gradients(loss, [w, v])
    f = sm.compile(
        [x, y],
        loss,
        updates={w: w - 0.1 * slopes[0], v: v - 0.1 * slopes[1]},
        backend=backend,
    )
    inputs = rng.normal(size=(rows, width)), np.eye(10)[rng.integers(0, 10, rows)]
    return f, inputs


def grown(call, arguments, calls=20):
    """By how many bytes traced memory grows at most in some calls, and what is left after them."""
    for _ in range(3):
        call(*arguments)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(calls):
            call(*arguments)
        left, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return most, left


def test_training_steps_take_no_more_memory_the_longer_they_go_on(backend):
    f, inputs = network(backend, 200)
    _, left = grown(f, inputs)
    sizes = sum(parameter.value.nbytes for parameter in f.parameters)
    assert left < sizes + 50_000


def test_native_training_steps_allocate_nothing_large():
    """New weights go where those before the last were: nobody holds these any more."""
    pytest.importorskip("llvmlite")
    f, inputs = network("native", 200)
    most, _ = grown(f, inputs)
    assert most < 100_000
    places = set()
    for _ in range(10):
        f(*inputs)
        places.add(f.parameters[0].value.__array_interface__["data"][0])
    assert len(places) == 2


def test_weights_that_somebody_holds_are_not_overwritten(backend):
    f, inputs = network(backend, 50)
    held, copies = [], []
    for _ in range(8):
        f(*inputs)
        held.append(f.parameters[0].value)
        copies.append(held[-1].copy())
    np.testing.assert_array_equal(held, copies)


def test_native_calls_with_targets_allocate_nothing_large():
    pytest.importorskip("llvmlite")
    x = sm.Variable("x", shape=(400, 300))
    f = sm.compile([x], [sm.exp(x) + x, sm.sum(sm.sin(x), axis=1), sm.exp(x.T @ x / 1e6)])
    value = np.ones((400, 300))
    out = [np.empty_like(result) for result in f(value)]
    most, _ = grown(lambda: f(value, out=out), ())
    assert most < 20_000


# Buffers


@st.composite
def schedules(draw):
    """Steps that each write a buffer over one of those before it, if they may, and read others."""
    count = draw(st.integers(1, 12))
    sizes = [draw(st.sampled_from([64, 5000, 8000])) for _ in range(count)]
    steps = []
    for made in range(count):
        read = draw(st.lists(st.integers(0, made - 1), max_size=3)) if made else []
        over = [(made, read[0])] if read and draw(st.booleans()) else []
        steps.append(BufferUse([made, *read], over))
    chosen = draw(st.lists(st.integers(0, count - 1), unique=True, max_size=4))
    cut = draw(st.integers(0, len(chosen)))
    results = {buffer: Storage(StorageKind.OUTPUT, k) for k, buffer in enumerate(chosen[:cut])}
    return steps, sizes, results, chosen[cut:]


@given(schedules())
def test_buffers_that_are_needed_together_share_nothing(schedule):
    """Unless one is written over the other, in the step that reads it last."""
    steps, sizes, results, kept = schedule
    made = assign(steps, sizes, results, kept)
    assert all(made.storages[buffer] == storage for buffer, storage in results.items())
    needed = spans([step.touched for step in steps], [*results, *kept])
    for one, its in needed.items():
        for other, others in needed.items():
            if one == other or its[0] > others[1] or others[0] > its[1]:
                continue
            a, b = made.storages[one], made.storages[other]
            if a.kind is not b.kind or (a.kind is StorageKind.OUTPUT and a.place != b.place):
                continue
            apart = a.place + sizes[one] <= b.place or b.place + sizes[other] <= a.place
            over = made.over.get(one) == other or made.over.get(other) == one
            assert over or (a.kind is StorageKind.ARENA and apart)
    for new, old in made.over.items():
        assert needed[old][1] == needed[new][0]
        assert (new, old) in steps[needed[new][0]].over


@pytest.mark.parametrize("workload", COMPILED, ids=lambda w: w.name)
def test_native_plans_say_where_values_are(workload):
    """In a result, or at an offset within the arena; what is written over is in the same place."""
    pytest.importorskip("llvmlite")
    function = compiled(workload)
    program = function.specialised().program
    if not isinstance(program, NativeProgram) or program._whole is None:
        pytest.skip("not one segment")
    stored, over = function.plan.placement.stored, function.plan.placement.over
    assert set(stored) == {step.node for step in function.plan.instructions}
    offsets = [int(n) for words in stored.values() for n in re.findall(r"arena \+(\d+)", words)]
    assert max(offsets, default=0) < max(program._whole.code.arena, 1)
    places = {node: words.rpartition(", ")[2].partition(";")[0] for node, words in stored.items()}
    assert all(places[new] == places[old] for new, old in over.items())


def test_recomputing_saves_memory_beside_large_nests_too():
    """Their results come one by one, in the order that keeps the fewest bytes."""
    pytest.importorskip("llvmlite")
    x, w = sm.Variable("x", shape=(600, 600)), sm.Variable("w", shape=(600, 600))
    loss = sm.sum(sm.tanh(sm.exp(sm.sin(x @ w)) @ w) ** 2)
    f = sm.compile([x, w], sm.gradients(loss, w), backend="native", recompute=True)
    assert f.trade.bytes <= 0.85 * f.trade.bytes_kept
