"""Queries, bound to a tenant by construction."""
