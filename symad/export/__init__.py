"""Graphs in other systems: JAX (:mod:`symad.export.to_jax`) and C99 (:mod:`symad.export.c_file`)."""
