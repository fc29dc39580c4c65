"""What was used, and what it has cost."""
