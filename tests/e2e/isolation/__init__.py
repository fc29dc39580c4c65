"""Tenants do not exist for each other: proven over HTTP against real servers, and the proof proven by planted holes."""
