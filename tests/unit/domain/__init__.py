"""Values, and what they refuse to be."""
