"""Pictures and tables of graphs: labels, formulas, DOT, SVG and PNG, text and HTML."""
