"""Scalar graphs as JavaScript, for pages with sliders."""
