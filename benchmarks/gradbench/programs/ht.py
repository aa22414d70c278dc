"""Hand tracking: the distances of a skinned hand from measured points, and their Jacobian.

``theta`` holds rotation, position and joint angles of the hand; ``us`` says, for each measured
point, where on its triangle the nearest point of the hand lies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import symad as sm
from benchmarks.gradbench.timed_call import Input, TimedCall, to_list

FLEXED = [bone for finger in range(5) for bone in range(4 * finger + 2, 4 * finger + 5)]
"""The bones that bend, three in each finger; the first of the three also turns sideways."""

FLEXIONS = [6 + 4 * finger + k for finger in range(5) for k in (0, 2, 3)]
"""Where the angles of these bones are in ``theta``."""


def turned(axis: sm.Node) -> sm.Node:
    """Return the matrix of the rotation about an axis whose length is the angle."""
    angle = sm.sqrt(sm.sum(axis**2))
    unit = axis / angle
    x, y, z = unit
    crossed = sm.stack([0.0, -z, y, z, 0.0, -x, -y, x, 0.0])
    cos = sm.cos(angle)
    skew = sm.sin(angle) * sm.reshape(crossed, (3, 3))
    return cos * sm.eye(3) + skew + (1 - cos) * sm.outer(unit, unit)


def joints(theta: sm.Node, count: int) -> sm.Node:
    """Return the rotation of each joint: about z (sideways) after about x (bent)."""
    bent = sm.set_at(sm.zeros(count), FLEXED, theta[FLEXIONS])
    sideways = sm.set_at(sm.zeros(count), FLEXED[::3], theta[7::4])
    cx, sx, cz, sz = sm.cos(bent), sm.sin(bent), sm.cos(sideways), sm.sin(sideways)
    zero, one = sm.zeros(count), sm.ones(count)
    rows = [
        [cz, -sz * cx, sz * sx, zero],
        [sz, cz * cx, -cz * sx, zero],
        [zero, sx, cx, zero],
        [zero, zero, zero, one],
    ]
    return sm.moveaxis(sm.stack([sm.stack(row) for row in rows]), 2, 0)


def chained(relatives: sm.Node, parents: Sequence[int]) -> sm.Node:
    """Return where each bone is: the product of the matrices from the wrist to the bone."""
    absolutes: list[sm.Node] = []
    for bone, parent in enumerate(parents):
        absolutes.append(relatives[bone] if parent == -1 else absolutes[parent] @ relatives[bone])
    return sm.stack(absolutes)


def vertices(theta: sm.Node, weights: sm.Node, positions: sm.Node, model: dict) -> sm.Node:
    """Return the positions of the vertices of the hand, as columns."""
    count = model["bone_count"]
    relatives = np.array(model["base_relatives"]) @ joints(theta, count)
    absolutes = chained(relatives, model["parents"])
    transforms = (absolutes @ np.array(model["inverse_base_absolutes"]))[:, :3, :]
    # the sum over bones of weight · transform @ position, as one product
    weighted = weights.T[:, None, :] * positions.T
    by_bone = sm.reshape(sm.moveaxis(transforms, 0, 1), (3, count * 4))
    skinned = by_bone @ sm.reshape(weighted, (count * 4, -1))
    if model["is_mirrored"]:
        skinned = skinned * np.array([[-1], [1], [1]])
    return turned(theta[:3]) @ skinned + theta[3:6][:, None]


def errors(hand: sm.Node, us: sm.Node | None, points: sm.Node, data: dict) -> sm.Node:
    """Return measured minus modelled points.

    Without ``us``, correspondences are vertices, not triangles.
    """
    if us is None:
        return points - hand[:, data["correspondences"]].T
    corners = np.array(data["model"]["triangles"])[data["correspondences"]]
    first, second, third = (hand[:, corner].T for corner in corners.T)
    u, v = us[:, :1], us[:, 1:]
    return points - (u * first + v * second + (1 - u - v) * third)


def built(given: Input) -> tuple[list[sm.Node], sm.Node, list[np.ndarray]]:
    """Return the variables, the errors and the arrays of an input."""
    data, model = given["data"], given["data"]["model"]
    arrays = {
        "theta": given["theta"],
        "us": given["us"],
        "points": data["points"],
        "weights": model["weights"],
        "positions": model["base_positions"],
    }
    arrays = {name: np.array(array) for name, array in arrays.items() if array}
    variables = {name: sm.Variable(name, shape=array.shape) for name, array in arrays.items()}
    hand = vertices(variables["theta"], variables["weights"], variables["positions"], model)
    y = errors(hand, variables.get("us"), variables["points"], data)
    return list(variables.values()), y, list(arrays.values())


def objective(given: Input) -> TimedCall:
    variables, y, arrays = built(given)
    return TimedCall(sm.compile(variables, sm.ravel(y)), arrays, to_list)


def jacobian(given: Input) -> TimedCall:
    """Return the rows of the Jacobian: by the point's own ``us``, if it has any, and by ``theta``.

    An error depends on the ``us`` of its own point only, so that moving all points at once gives
    all of these derivatives.
    """
    variables, y, arrays = built(given)
    theta, us = variables[:2]

    def moved(x: sm.Node, direction: sm.Node) -> sm.Node:
        return sm.pushforward(y, x, sm.broadcast_to(direction, x.shape))

    columns = [sm.vmap(lambda unit: moved(theta, unit), out_axes=2)(np.eye(theta.size))]
    if given["us"]:
        columns.insert(0, sm.vmap(lambda unit: moved(us, unit), out_axes=2)(np.eye(2)))
    rows = sm.reshape(sm.concatenate(columns, axis=2), (y.size, -1))
    return TimedCall(sm.compile(variables, rows), arrays, to_list)
