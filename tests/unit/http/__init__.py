"""The edge of a small application."""
