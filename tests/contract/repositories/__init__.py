"""The storage contract, on every database."""
