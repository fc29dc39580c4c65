"""Keys of a tenant."""
