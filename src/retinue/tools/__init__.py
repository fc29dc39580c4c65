"""What an employee can do."""
