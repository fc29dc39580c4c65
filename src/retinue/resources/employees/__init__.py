"""AI employees."""
