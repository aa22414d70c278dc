"""Compiled functions: checking of arguments, specialisation, and calls."""
