"""A layered layout: where the nodes, arrows and frames of a picture stand."""

from symad.drawing.layout.heights import Frame
from symad.drawing.layout.layered import Diagram, Item, Layout, Link, lay_out
from symad.drawing.layout.spacing import Spacing

__all__ = ["Diagram", "Frame", "Item", "Layout", "Link", "Spacing", "lay_out"]
