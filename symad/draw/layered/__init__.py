"""A layered layout of symad's own: where everything stands, if there is no Graphviz."""

from symad.draw.layered.heights import Frame
from symad.draw.layered.layout import Diagram, Item, Layout, Link, lay_out

__all__ = ["Diagram", "Frame", "Item", "Layout", "Link", "lay_out"]
