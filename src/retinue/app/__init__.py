"""The composition root: everything that exists is put together here, and nowhere else."""

from retinue.app.application import Application
from retinue.app.keys import KeyFileUnusable, open_keyring
from retinue.app.rotation import check_keys, rotate_keys

__all__ = ["Application", "KeyFileUnusable", "check_keys", "open_keyring", "rotate_keys"]
