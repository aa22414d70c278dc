"""The gaps between the elements of a layout."""

from __future__ import annotations

from typing import ClassVar

from symad.records import dataclass, replace


@dataclass(frozen=True, slots=True)
class Spacing:
    """The gaps of a layout, in its unit of length.

    Attributes
    ----------
    nodes, bends : float
        Between two nodes of a layer, and beside an arrow that passes through it.
    margin, frames : float
        Between the sides of a frame and its contents, and between two frames.
    channel : float
        The least gap between bands.
    layers, tracks : float
        Between layers, and the extra gap for each arrow that runs sideways there.
    padding : float
        Between the top or the bottom of a frame and its contents.

    Examples
    --------
    >>> Spacing.normal.layers > Spacing.compact.layers
    True
    """

    nodes: float = 22.0
    bends: float = 10.0
    margin: float = 12.0
    frames: float = 10.0
    channel: float = 10.0
    layers: float = 28.0
    tracks: float = 5.0
    padding: float = 10.0

    @property
    def turned(self) -> Spacing:
        """The gaps of a layout from left to right, whose layers are columns of flat nodes."""
        return replace(self, nodes=0.6 * self.nodes, layers=1.4 * self.layers)

    normal: ClassVar[Spacing]
    compact: ClassVar[Spacing]


Spacing.normal = Spacing()
Spacing.compact = Spacing(14.0, 8.0, 8.0, 8.0, 6.0, 18.0, 4.0, 8.0)
