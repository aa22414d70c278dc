"""Graphs in other systems: :mod:`symad.export.to_jax` makes functions of JAX arrays of them."""
