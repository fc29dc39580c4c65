"""A tenant's model provider."""
