"""Bundle adjustment: the errors of observed points, and their sparse Jacobian.

All unknowns are one vector (cameras, points, weights, in this order), so that the compressed rows
of the Jacobian are what the suite asks for.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

import symad as sm
from benchmarks.gradbench.evaluation import Evaluation, Input

CAMERA = 11
"""Rotation (3), centre (3), focal length, principal point (2), radial distortion (2)."""


Vector = Sequence[sm.Node]
"""The components of vectors: each is an array with an element for each observation."""


def dot(a: Vector, b: Vector) -> sm.Node:
    return sum(x * y for x, y in zip(a, b, strict=True))


def cross(a: Vector, b: Vector) -> Vector:
    return [a[k - 2] * b[k - 1] - a[k - 1] * b[k - 2] for k in range(3)]


def rotated(axis: Vector, point: Vector) -> Vector:
    """Return points turned about axes, whose lengths are the angles (Rodrigues)."""
    angle = sm.sqrt(dot(axis, axis))
    unit = [x / angle for x in axis]
    cos, sin = sm.cos(angle), sm.sin(angle)
    along = dot(unit, point) * (1 - cos)
    across = cross(unit, point)
    return [point[k] * cos + across[k] * sin + unit[k] * along for k in range(3)]


def projected(camera: Vector, point: Vector) -> Vector:
    """Return where the cameras see the points."""
    centre, focal, origin, (k1, k2) = camera[3:6], camera[6], camera[7:9], camera[9:11]
    x, y, z = rotated(camera[:3], [a - b for a, b in zip(point, centre, strict=True)])
    flat = x / z, y / z
    square = dot(flat, flat)
    scale = focal * (1 + k1 * square + k2 * square**2)
    return [a * scale + b for a, b in zip(flat, origin, strict=True)]


@functools.cache
def built(n: int, m: int, p: int) -> tuple[sm.Node, sm.Node, sm.Node, sm.Node]:
    """Return the unknowns, the observed features, and both kinds of errors."""
    unknowns = sm.Variable("unknowns", shape=(CAMERA * n + 3 * m + p,))
    features = sm.Variable("features", shape=(p, 2))
    cameras, points, weights = sm.split(unknowns, [CAMERA * n, CAMERA * n + 3 * m])
    observation = np.arange(p)
    camera = sm.reshape(cameras, (n, CAMERA)).T[:, observation % n]
    point = sm.reshape(points, (m, 3)).T[:, observation % m]
    seen = sm.stack(projected(list(camera), list(point)), axis=1)
    return unknowns, features, weights[:, None] * (seen - features), 1 - weights**2


def arrays(given: Input) -> tuple[np.ndarray, np.ndarray]:
    n, m, p = given["n"], given["m"], given["p"]
    repeated = [np.tile(given["cam"], n), np.tile(given["x"], m), np.full(p, given["w"])]
    return np.concatenate(repeated), np.tile(given["feat"], (p, 1))


def objective(given: Input) -> Evaluation:
    unknowns, features, *errors = built(given["n"], given["m"], given["p"])
    return Evaluation(sm.compile([unknowns, features], errors), arrays(given), first_errors)


def jacobian(given: Input) -> Evaluation:
    unknowns, features, reprojection, weight = built(given["n"], given["m"], given["p"])
    errors = sm.concatenate([sm.ravel(reprojection), weight])
    matrix = sm.jacobian(errors, unknowns, sparse=True)
    return Evaluation(sm.compile([unknowns, features], matrix), arrays(given), first_elements)


def first_errors(errors: list[np.ndarray]) -> dict[str, Any]:
    """Return the errors of the first observation, as all observations are the same."""
    reprojection, weight = errors
    return {
        "reproj_error": {"elements": reprojection[0].tolist(), "repeated": len(reprojection)},
        "w_err": {"element": float(weight[0]), "repeated": len(weight)},
    }


def first_elements(matrix: Any) -> dict[str, list]:
    """Return the first elements, of the first observation, and the last one, as the suite does.

    The suite stores the derivatives of both coordinates by the same unknowns.  symad leaves out the
    two that are always 0: the column of an image does not depend on the row of its centre.
    """
    columns = np.unique(matrix[:2].indices)
    values = matrix[:2, columns].toarray()
    counts = np.diff(matrix.indptr)
    counts[counts > 1] = len(columns)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return {
        "rows": [*starts[: values.size].tolist(), int(starts[-1])],
        "cols": [*columns.tolist() * 2, int(matrix.indices[-1])],
        "vals": [*values.ravel().tolist(), float(matrix.data[-1])],
    }
