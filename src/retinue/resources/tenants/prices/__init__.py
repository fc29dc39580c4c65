"""What tenants pay for models."""
