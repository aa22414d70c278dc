"""Where the arrays of a function are: on a device, or shared by the devices of a mesh."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symad.backends.xla.results import DeviceState
from symad.backends.xla.translations import jax
from symad.errors import FeedError, GraphTypeError, did_you_mean
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.records import dataclass, field
from symad.types import StructureType, TensorType, Type


@dataclass(frozen=True, slots=True)
class DevicePlacement:
    """Where the inputs of a function are.

    Attributes
    ----------
    inputs : tuple of Node
    parts : mapping from str to int
        How many devices share the dimensions of each name.
    shardings : tuple or None
        Of each input, in the structure of its type; ``None`` leaves them to JAX.
    state : DeviceState
        The parameters.
    """

    inputs: tuple[Node, ...]
    parts: Mapping[str, int]
    shardings: tuple[Any, ...] | None
    state: DeviceState = field(default_factory=DeviceState)

    @property
    def is_on_cpu(self) -> bool:
        """Whether CPUs compute."""
        chosen: Any = next(leaves(self.shardings or ()), None)
        devices = jax.devices() if chosen is None else chosen.device_set
        return bool(next(iter(devices)).platform == "cpu")

    def check(self, types: Sequence[Type]) -> None:
        """Check that the devices can share values of these types equally.

        Raises
        ------
        FeedError
            It names the dimension, its size and the number of devices.
        """
        for node, type_ in zip(self.inputs, types, strict=True):
            for name, size in zip(_dimensions(node.type), _dimensions(type_), strict=False):
                if isinstance(size, int) and size % self.parts.get(name, 1):
                    raise FeedError(
                        f"dimension {name!r} is {size} in {node.label!r}, and {self.parts[name]} "
                        "devices cannot share it equally",
                        where=node.site.describe(),
                        remedy=f"Feed a multiple of {self.parts[name]}.",
                    )


def placement_of(inputs: tuple[Node, ...], device: str, mesh: Mapping[str, int]) -> DevicePlacement:
    """Return where inputs are.

    Parameters
    ----------
    inputs : tuple of Node
        As they were written, with the names of dimensions.
    device : str
        Such as ``"gpu"`` or ``"gpu:1"``; empty for JAX's default.
    mesh : mapping from str to int
        How many devices share the dimensions of each name.

    Raises
    ------
    GraphTypeError
        If there are no such devices, or no dimension of such a name.
    """
    if not mesh:
        if not device:
            return DevicePlacement(inputs, {}, None)
        one = jax.sharding.SingleDeviceSharding(find_devices(device)[0])
        return DevicePlacement(inputs, {}, tuple([one] * len(inputs)))
    known = {d for node in inputs for d in _dimensions(node.type) if isinstance(d, str)}
    for name in mesh:
        if name not in known:
            raise GraphTypeError(
                f"no input has a dimension {name!r}.{did_you_mean(name, known)}",
                remedy=f'Name it in the shape of a variable: sm.Variable("x", shape=({name!r},)).',
            )
    devices = np.array(find_devices(device, math.prod(mesh.values())), object)
    grid = jax.sharding.Mesh(devices.reshape(*mesh.values()), tuple(mesh))
    shardings = tuple([_sharding(node.type, grid) for node in inputs])
    return DevicePlacement(inputs, dict(mesh), shardings)


def find_devices(device: str, count: int = 1) -> list[Any]:
    """Return some of JAX's devices.

    Parameters
    ----------
    device : str
        Their kind, and the number of the first: ``"gpu:1"``.
    count : int

    Raises
    ------
    GraphTypeError
        If there are not as many; it names those there are.
    """
    kind, _, number = device.partition(":")
    first = int(number) if number.isdecimal() else 0
    try:
        found = jax.devices(kind or None) if number.isdecimal() or not number else []
    except RuntimeError:
        found = []
    if len(found) < first + count:
        there = ", ".join(f"{d.platform}:{d.id}" for d in (*jax.devices(), *jax.devices("cpu")))
        names = ", ".join(dict.fromkeys(there.split(", ")))
        remedy = "Choose one of them, or install JAX for the other."
        if count > 1:
            remedy = (
                "Set XLA_FLAGS=--xla_force_host_platform_device_count="
                f"{first + count} before JAX starts, which makes so many of one CPU."
            )
        wanted = f"device {device!r}" if count == 1 else f"{count} devices {device!r}".strip(" '")
        raise GraphTypeError(f"JAX has no {wanted}; it has {names}", remedy=remedy)
    return list(found[first : first + count])


def _dimensions(type_: Type | None) -> Iterator[Any]:
    """Yield the dimensions of a type, or of the types in it: sizes, or their names."""
    if isinstance(type_, StructureType):
        for _, item in type_.fields:
            yield from _dimensions(item)
    elif isinstance(type_, TensorType) and isinstance(type_.shape, tuple):
        yield from type_.shape


def _sharding(type_: Type | None, grid: Any) -> Any:
    """Return which axes are shared: of several with one name, the first."""
    if isinstance(type_, StructureType):
        return [_sharding(item, grid) for _, item in type_.fields]
    shape = list(_dimensions(type_))
    axes = [
        dim if dim in grid.axis_names and shape.index(dim) == axis else None
        for axis, dim in enumerate(shape)
    ]
    return jax.sharding.NamedSharding(grid, jax.sharding.PartitionSpec(*axes))
