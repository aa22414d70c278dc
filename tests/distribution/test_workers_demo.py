"""The demo on a Dask cluster, and the benchmark of distributed calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import distributed as benchmark
from symad.demo import distributed as demo

pytestmark = pytest.mark.slow


def test_the_demo_trains_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("distributed", "matplotlib", "sklearn"):
        pytest.importorskip(package)
    assert demo.run_distributed(tmp_path / "new", steps=12, workers=1) == 1
    said = capsys.readouterr()
    assert "step  10: loss 1.0" in said.out and "below the goal" in said.err
    assert (tmp_path / "new" / "task-stream.png").read_bytes().startswith(b"\x89PNG")


def test_digits_are_shifted_in_all_directions() -> None:
    images = np.zeros((1, 9))
    images[0, 4] = 1.0
    moved, labels = demo.shifted(images, np.array([7]))
    assert moved.shape == (9, 9) and sorted(moved.argmax(axis=1)) == list(range(9))
    assert labels.tolist() == [7] * 9


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_the_benchmark_measures_what_it_says(kind: str) -> None:
    given = benchmark.arguments(benchmark.CHUNKS)
    bits, found = benchmark.measure(kind, given, 1)
    loss, *_ = benchmark.network()(**given)
    assert abs(np.frombuffer(bits[0])[0] - loss) < 1e-12
    assert 0 < found["share"] < 1 and found["cost"] > 0
