"""What a tenant may ask for."""
