"""Finds where a NaN or an infinity first appears, and suggests a remedy."""
