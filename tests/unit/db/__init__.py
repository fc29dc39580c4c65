"""What storage is made of."""
