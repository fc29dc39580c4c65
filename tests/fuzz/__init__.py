"""Requests that no person has written: made from the API's own description, and from a model of what it should do."""
