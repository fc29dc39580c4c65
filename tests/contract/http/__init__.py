"""The REST resources as their users see them, on both databases."""
