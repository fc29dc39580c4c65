"""The master keys of this process."""

from pathlib import Path

from retinue.crypto import Keyring
from retinue.domain.errors import RetinueError
from retinue.settings import Settings


class KeyFileUnusable(RetinueError):
    """The master key file beside the database cannot be used; the detail says why and shows nothing of it."""


def open_keyring(settings: Settings) -> Keyring:
    """The master keys from the settings; in open mode, where there may be none, a key file beside the database.

    Raises:
        KeyFileUnusable: the file cannot be read or made, others may read it, or it has another form.
    """
    if given := settings.master_keys.get_secret_value():
        return Keyring.parse(given)
    database_file = sqlite_file(settings.database.url)
    assert database_file is not None, "open mode is for SQLite"
    key_file = database_file.parent / "master.key"
    try:
        return Keyring.load_or_create(key_file)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise KeyFileUnusable(f"The master key file {key_file} cannot be used: {reason}.") from None


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for other databases."""
    return Path(url.partition(":///")[2].partition("?")[0]) if url.startswith("sqlite") else None
