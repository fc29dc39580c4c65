"""Conversations, without their messages."""
