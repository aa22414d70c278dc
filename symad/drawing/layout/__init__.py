"""A layered layout: positions of the nodes, arrows and frames of a picture."""

from symad.drawing.layout.bends import Scope
from symad.drawing.layout.heights import LayoutFrame
from symad.drawing.layout.layered import Diagram, DiagramLayout, Item, Link, lay_out
from symad.drawing.layout.spacing import Spacing

__all__ = ["Diagram", "DiagramLayout", "Item", "LayoutFrame", "Link", "Scope", "Spacing", "lay_out"]
