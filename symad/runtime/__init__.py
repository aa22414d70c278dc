"""Compiled functions: arguments checked, specialised, run, and their results handed out."""
