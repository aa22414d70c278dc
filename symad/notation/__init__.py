"""Labels, formulas and numbers: the notation of nodes and values."""
