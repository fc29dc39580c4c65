"""Tokens of a tenant's users."""
