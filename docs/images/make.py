"""Draw the pictures of the documents afresh: ``python docs/images/make.py``."""

from __future__ import annotations

from pathlib import Path

import symad as sm
from symad.demo.examples import running_example
from symad.demo.models import initial_weights, regularised_network

FOLDER = Path(__file__).resolve().parent


def main() -> None:
    """Draw the extended running example, and the network with L2 regularisation."""
    x1, x2, y = running_example()
    sm.draw([y, *sm.gradients(y, [x1, x2])]).save(FOLDER / "lecture.svg")
    weights1, weights2 = (weight.T for weight in initial_weights(784, 100, 10))
    model = regularised_network(weights1, weights2, strength=0.001)
    sm.draw(model.loss).save(FOLDER / "regularised.svg")


if __name__ == "__main__":
    main()
