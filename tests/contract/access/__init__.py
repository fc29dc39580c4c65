"""Credentials, through the whole product but its server."""
