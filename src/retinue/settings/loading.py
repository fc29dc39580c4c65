"""Read settings: environment over file over defaults. What is not a setting is refused by name."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, TomlConfigSettingsSource

from retinue.settings.settings import Settings, read_from

PREFIX = "RETINUE_"
CONFIG_VARIABLE = "RETINUE_CONFIG"
DEFAULT_FILE = Path("config/default.toml")
SECRET_VARIABLES = ("RETINUE_OPERATOR_KEY", "RETINUE_MASTER_KEYS")


class SettingsError(Exception):
    """The settings cannot be used. `reasons` lists everything that is wrong, not only the first thing."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def variables() -> dict[str, tuple[str, ...]]:
    """Each environment variable that is understood, with the path of the setting that it stands for."""
    paths: list[tuple[str, ...]] = []
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            paths += [(name, key) for key in section.model_fields]
        else:
            paths.append((name,))
    return {PREFIX + "_".join(path).upper(): path for path in paths}


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `config`, or the file that `RETINUE_CONFIG` names, or `config/default.toml` if there is one.

    Raises:
        SettingsError: unknown keys, malformed values or an unreadable file.
    """
    environment = os.environ if environ is None else environ
    file = _file(config, environment)

    configured = read_from(lambda kind, _: (_Environment(kind, environment), TomlConfigSettingsSource(kind, file)))
    reasons = _refused_variables(environment)
    try:
        settings = configured()
    except ValidationError as error:
        raise SettingsError([*reasons, *_reasons(error, environment, file)]) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError([*reasons, f"{file} cannot be read: {error}"]) from None
    if reasons:
        raise SettingsError(reasons)
    return settings


class _Environment(PydanticBaseSettingsSource):
    """Exact names only; pydantic's own source overlooks names that it does not know."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._environ = environ

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for variable, path in variables().items():
            if variable in self._environ:
                parent = found
                for key in path[:-1]:
                    parent = parent.setdefault(key, {})
                parent[path[-1]] = self._environ[variable]
        return found


def _file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if named is None:
        return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    if not named.is_file():
        raise SettingsError([f"the configuration file {named} does not exist"])
    return named


def _refused_variables(environ: Mapping[str, str]) -> list[str]:
    known = variables()
    reasons = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE:
            continue
        if name not in known:
            reasons.append(f"{name} is not a setting{_suggestion(name, list(known))}")
        elif name in SECRET_VARIABLES and not environ[name].strip():
            reasons.append(f"{name} is set but empty; unset it if that is meant")
    return reasons


def _reasons(error: ValidationError, environ: Mapping[str, str], file: Path | None) -> list[str]:
    names = {path: variable for variable, path in variables().items()}
    reasons = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        path = tuple(str(part) for part in fault["loc"])
        variable = names.get(path[:2]) or names.get(path[:1])
        place = variable if variable and variable in environ else f"{'.'.join(path)} in {file}"
        if fault["type"] == "extra_forbidden":
            reasons.append(
                f"{place} is not a setting{_suggestion('.'.join(path), ['.'.join(known) for known in names])}"
            )
        else:
            reasons.append(f"{place}: {fault['msg'].removeprefix('Value error, ')}")
    return reasons


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""
