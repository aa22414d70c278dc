"""A layered layout: where the nodes, arrows and frames of a picture stand."""

from symad.drawing.layout.heights import Frame
from symad.drawing.layout.layered import Diagram, Item, Layout, Link, lay_out

__all__ = ["Diagram", "Frame", "Item", "Layout", "Link", "lay_out"]
