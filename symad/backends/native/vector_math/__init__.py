"""Scalar functions as a few vectorisable instructions."""
