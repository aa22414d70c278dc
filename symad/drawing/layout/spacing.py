"""How far apart things stand in a layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Spacing:
    """The gaps of a layout, in its unit of length.

    Attributes
    ----------
    nodes, bends : float
        Between two nodes of a layer, and beside an arrow that passes it.
    margin, frames : float
        Between the sides of a frame and what it holds, and between two frames.
    channel : float
        Between bands, at least.
    layers, tracks : float
        Between layers, and more for each arrow that runs sideways there.
    padding : float
        Between the top or the bottom of a frame and what it holds.
    narrow : bool
        Whether nodes move to another layer where that makes a band narrower and no arrow longer.

    Examples
    --------
    >>> Spacing.normal.layers > Spacing.compact.layers
    True
    """

    nodes: float = 26.0
    bends: float = 12.0
    margin: float = 14.0
    frames: float = 12.0
    channel: float = 10.0
    layers: float = 32.0
    tracks: float = 6.0
    padding: float = 12.0
    narrow: bool = False

    normal: ClassVar[Spacing]
    compact: ClassVar[Spacing]


Spacing.normal = Spacing()
Spacing.compact = Spacing(14.0, 8.0, 8.0, 8.0, 6.0, 18.0, 4.0, 8.0, narrow=True)
