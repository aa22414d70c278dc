"""Lowering of nodes to kernel calls, with one module per family of ops."""
