"""Runs: what became of them, their events, and how they are stopped."""
