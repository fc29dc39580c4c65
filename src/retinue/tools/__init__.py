"""What employees can do besides talking."""
