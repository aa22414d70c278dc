"""Bundle adjustment: the errors of observed points, and their sparse Jacobian.

An observation sees 15 of the unknowns.  By these, rows of different observations have no columns in
common: three products give the whole Jacobian, whose columns then get the numbers of the unknowns.
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


def errors(seen: sm.Node, features: sm.Node) -> tuple[sm.Node, sm.Node]:
    """Return the reprojection errors, and those of the weights."""
    *unknowns, weight = list(seen)
    images = projected(unknowns[:CAMERA], unknowns[CAMERA:])
    differences = [weight * (a - b) for a, b in zip(images, features.T, strict=True)]
    return sm.stack(differences, axis=1), 1 - weight**2


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
    y = errors(unknowns[where], features)
    return TimedCall(sm.compile([unknowns, features], y), arrays, first_errors)


def jacobian(given: Input) -> TimedCall:
    (unknowns, features), where, arrays = built(given)
    seen = unknowns[where]
    reprojection, weight = errors(seen, features)
    y = sm.concatenate([sm.ravel(reprojection), weight])
    by_seen = sm.compile([unknowns, features], sm.jacobian(y, seen, sparse=True))

    def by_unknowns(*arrays: np.ndarray) -> sparse.csr_array:
        matrix = by_seen(*arrays)
        columns = where.ravel()[matrix.indices]
        shape = matrix.shape[0], len(arrays[0])
        return sparse.csr_array((matrix.data, columns, matrix.indptr), shape=shape)

    return TimedCall(by_unknowns, arrays, first_elements)


def first_errors(errors: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Return the errors of the first observation, as all observations are the same."""
    reprojection, weight = errors
    return {
        "reproj_error": {"elements": reprojection[0].tolist(), "repeated": len(reprojection)},
        "w_err": {"element": float(weight[0]), "repeated": len(weight)},
    }


def first_elements(matrix: sparse.csr_array) -> dict[str, list]:
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
