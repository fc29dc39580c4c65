"""The composition root: everything that exists is put together here, and nowhere else."""

from retinue.app.application import Application
from retinue.app.keys import KeyFileUnusable, open_keyring

__all__ = ["Application", "KeyFileUnusable", "open_keyring"]
