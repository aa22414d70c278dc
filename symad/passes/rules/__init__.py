"""Rewrite rules, a module per family."""
