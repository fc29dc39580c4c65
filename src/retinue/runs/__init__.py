"""The engine: runs, steps, outcomes. Imports no web framework and no SQL."""
