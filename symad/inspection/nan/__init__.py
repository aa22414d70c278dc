"""Where a NaN or an infinity arose, and what to do about it."""
