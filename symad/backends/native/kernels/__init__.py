"""The machine code of kernels: loop nests, copies, products, scans along an axis."""
