"""Tests of what tenants, their keys and their users may ask for."""
