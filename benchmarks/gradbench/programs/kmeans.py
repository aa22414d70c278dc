"""k-means: the sum of squared distances to the nearest centroid, and a Newton step.

Distances depend on one centroid each, so that the Hessian is diagonal: its product with a vector of
ones is its diagonal.
"""

from __future__ import annotations

import numpy as np

import symad as sm
from benchmarks.gradbench.timed_call import Input, TimedCall, to_list

points = sm.Variable("points", shape=("n", "d"))
centroids = sm.Variable("centroids", shape=("k", "d"))

squares = sm.sum(points**2, axis=1)[:, None] + sm.sum(centroids**2, axis=1)
distances = squares - 2 * points @ centroids.T
total = sm.sum(sm.min(distances, axis=1))

slope = sm.gradients(total, centroids)
curvature = sm.pushforward(slope, centroids, sm.ones_like(centroids))

value = sm.compile([points, centroids], total)
step = sm.compile([points, centroids], slope / curvature)


def arrays(given: Input) -> tuple[np.ndarray, np.ndarray]:
    return np.array(given["points"]), np.array(given["centroids"])


def cost(given: Input) -> TimedCall:
    return TimedCall(value, arrays(given), float)


def dir(given: Input) -> TimedCall:
    return TimedCall(step, arrays(given), to_list)
