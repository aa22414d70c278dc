"""A layered layout: where the nodes, arrows and frames of a picture stand."""

from symad.draw.layered.heights import Frame
from symad.draw.layered.layout import Diagram, Item, Layout, Link, lay_out

__all__ = ["Diagram", "Frame", "Item", "Layout", "Link", "lay_out"]
