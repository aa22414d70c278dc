"""Bundle adjustment: the errors of observed points, and their sparse Jacobian.

An observation sees 15 of the unknowns, and no other observation has a part in its errors.  So the
slopes of one error of all observations are one gradient, of the sum.  Which unknowns they belong to
is found once, before the clock starts; other tools write these numbers in each call, so here each
call copies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

import symad as sm
from benchmarks.gradbench.timed_call import Input, TimedCall

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


def seen_by(n: int, m: int, p: int) -> np.ndarray:
    """Return which unknowns (cameras, then points, then weights) each observation sees."""
    observation = np.arange(p)
    camera = CAMERA * (observation % n) + np.arange(CAMERA)[:, None]
    point = CAMERA * n + 3 * (observation % m) + np.arange(3)[:, None]
    return np.concatenate([camera, point, CAMERA * n + 3 * m + observation[None]])


def errors(seen: sm.Node, features: sm.Node) -> tuple[Vector, sm.Node]:
    """Return the components of the reprojection errors, and the errors of the weights."""
    *unknowns, weight = list(seen)
    images = projected(unknowns[:CAMERA], unknowns[CAMERA:])
    differences = [weight * (a - b) for a, b in zip(images, features.T, strict=True)]
    return differences, 1 - weight**2


def built(given: Input) -> tuple[list[sm.Node], np.ndarray, list[np.ndarray]]:
    """Return the variables, which unknowns each observation sees, and the arrays of an input."""
    n, m, p = given["n"], given["m"], given["p"]
    repeated = [np.tile(given["cam"], n), np.tile(given["x"], m), np.full(p, given["w"])]
    arrays = [np.concatenate(repeated), np.tile(given["feat"], (p, 1))]
    variables = [
        sm.Variable(name, shape=array.shape)
        for name, array in zip(("unknowns", "features"), arrays, strict=True)
    ]
    return variables, seen_by(n, m, p), arrays


def objective(given: Input) -> TimedCall:
    (unknowns, features), where, arrays = built(given)
    reprojection, weight = errors(unknowns[where], features)
    y = sm.stack(reprojection, axis=1), weight
    return TimedCall(sm.compile([unknowns, features], y), arrays, first_errors)


def jacobian(given: Input) -> TimedCall:
    (unknowns, features), where, arrays = built(given)
    seen = unknowns[where]
    reprojection, weight = errors(seen, features)
    *slopes, last = [sm.gradients(sm.sum(e), seen).T for e in (*reprojection, weight)]
    values = sm.concatenate([sm.ravel(sm.stack(slopes, axis=1)), last[:, -1]])
    compiled = sm.compile([unknowns, features], values)
    columns, starts = pattern(where)

    def by_unknowns(*arrays: np.ndarray) -> sparse.csr_array:
        shape = len(starts) - 1, len(arrays[0])
        parts = compiled(*arrays), columns.copy(), starts.copy()
        return sparse.csr_array(parts, shape=shape)

    return TimedCall(by_unknowns, arrays, first_elements)


def pattern(where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of the Jacobian, and where its rows start: errors, then weights."""
    columns = np.concatenate([np.repeat(where.T, 2, axis=0).ravel(), where[-1]])
    counts = np.repeat([len(where), 1], [2 * where.shape[1], where.shape[1]])
    starts = np.concatenate([[0], np.cumsum(counts)])
    return columns.astype(np.int32), starts.astype(np.int32)


def first_errors(errors: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Return the errors of the first observation, as all observations are the same."""
    reprojection, weight = errors
    return {
        "reproj_error": {"elements": reprojection[0].tolist(), "repeated": len(reprojection)},
        "w_err": {"element": float(weight[0]), "repeated": len(weight)},
    }


def first_elements(matrix: sparse.csr_array) -> dict[str, list]:
    """Return the first elements, of the first observation, and the last one, as the suite does."""
    count = int(matrix.indptr[2])
    return {
        "rows": [*matrix.indptr[:count].tolist(), int(matrix.indptr[-1])],
        "cols": [*matrix.indices[:count].tolist(), int(matrix.indices[-1])],
        "vals": [*matrix.data[:count].tolist(), float(matrix.data[-1])],
    }
