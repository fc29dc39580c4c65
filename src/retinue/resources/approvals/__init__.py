"""Approvals: what a person allows or denies."""
