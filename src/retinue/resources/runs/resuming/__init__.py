"""Runs that wait for a person, and how they go on."""
