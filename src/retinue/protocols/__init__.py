"""Wire protocols: run events in, frames out. Pure functions, no I/O."""
