"""The machine code of kernels: loop nests, copies, products, walks along an axis."""
