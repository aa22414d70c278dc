"""Graphs in other systems.

:mod:`symad.export.to_jax` makes functions of JAX arrays of them, :mod:`symad.export.stablehlo`
writes XLA's text, :mod:`symad.export.onnx_file` models that ONNX Runtime runs, and
:mod:`symad.export.c_file` functions in C99.
"""
