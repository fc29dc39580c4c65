"""The tool calls of a run: what is asked for, what may be done, what is done, and what became of it."""
