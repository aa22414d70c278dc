"""Graphs in other systems.

:mod:`symad.export.to_jax` makes functions of JAX arrays of them, and :mod:`symad.export.onnx_file`
writes them as models that ONNX Runtime runs.
"""
