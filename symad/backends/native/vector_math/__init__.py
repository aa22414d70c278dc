"""Functions of one number in a few instructions, which vectorise."""
