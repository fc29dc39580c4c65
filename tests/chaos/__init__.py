"""Connections cut, processes killed and frozen, providers silent, crowds, outages. `make chaos` runs all of it."""
