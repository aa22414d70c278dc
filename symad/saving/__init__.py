"""Saved graphs: compiled functions and nodes as data, in one file that nothing is run from.

:mod:`symad.saving.files` saves and loads; ``docs/saved_graphs.md`` describes the format.
"""
