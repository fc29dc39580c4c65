"""Credentials, at a real server."""
