"""How nodes and values are named and written: labels, formulas, numbers."""
