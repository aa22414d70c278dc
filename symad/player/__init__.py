"""The player: a page that steps through how a gradient is built, computed and compiled."""
