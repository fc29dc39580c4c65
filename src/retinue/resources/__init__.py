"""One folder per REST resource."""
