"""Conversations; their messages are a resource of their own."""
