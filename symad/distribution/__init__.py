"""Functions that are computed on chunks of their arguments, and the proof that they may be."""
