"""Render `config/default.toml`: `python -m retinue.settings.documentation > config/default.toml`."""

import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from pydantic import BaseModel, SecretStr

from retinue.settings.settings import Settings

HEADER = """\
# Every setting of Retinue with its default.
#
# The environment overrules this file: RETINUE_<SECTION>_<KEY>, for settings without a section RETINUE_<KEY>.
# RETINUE_CONFIG or --config names another file; it needs to hold only what differs. Unknown keys are refused.
"""


def document() -> str:
    """The whole file, from the classes alone."""
    lines = [HEADER]
    sections: list[str] = []
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, BaseModel):
            sections += ["", f"# {field.default.__doc__}", f"[{name}]", *_section(field.default)]
        else:
            lines += [f"# {field.description}", f"{name} = {_toml(field.default)}"]
    return "\n".join([*lines, *sections]) + "\n"


def _section(section: BaseModel) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        yield f"# {field.description}"
        yield f"{name} = {_toml(field.default)}"


def _toml(value: Any) -> str:
    """JSON's notation of strings, numbers and lists is TOML's too."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, int) and value >= 10_000:
        return f"{value:_}"
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    sys.stdout.write(document())
