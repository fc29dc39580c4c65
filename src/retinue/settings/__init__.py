"""What an operator can set: a TOML file, overruled by the environment.

Settings are handed down as plain values; only `__main__`, `server` and `app` import this package.
"""

from retinue.settings.loading import SettingsError, load
from retinue.settings.rules import check, check_migration
from retinue.settings.settings import Settings

__all__ = ["Settings", "SettingsError", "check", "check_migration", "load"]
