"""Runs that wait for a person: how they pause, what people decide, how they go on or expire."""
