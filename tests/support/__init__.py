"""Test support: a fake model provider, databases, Redis, and a harness around a real server process."""
