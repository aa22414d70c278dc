"""Pictures of graphs, as SVG, DOT, PNG and PDF."""
