"""Settings on their way to a child process, which has exactly these, whatever became of file and environment."""

from typing import Any

import msgspec

from retinue.settings.settings import Settings, read_from


def pack(settings: Settings) -> bytes:
    """All of them on one line, secrets included: for a pipe, for no file and no log."""
    values: dict[str, Any] = settings.model_dump(mode="json")
    for name in ("operator_key", "master_keys"):
        values[name] = getattr(settings, name).get_secret_value()
    return msgspec.json.encode(values) + b"\n"


def unpack(line: bytes) -> Settings:
    """What `pack` was given."""
    return _Given(**msgspec.json.decode(line))


_Given = read_from(lambda _, given: (given,))
