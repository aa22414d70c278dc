"""From nodes of a graph to calls of kernels: a module per family of ops."""
