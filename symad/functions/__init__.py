"""Functions composed of ops: each returns a graph of several nodes and adds no op of its own."""
