"""Settings are text."""

from pathlib import Path

import pytest

from retinue.settings import SettingsError, load


@pytest.mark.parametrize("value", ["a\x00b", "a\udcffb"])
@pytest.mark.parametrize("name", ["RETINUE_HOST", "RETINUE_OPERATOR_KEY", "RETINUE_WORKSPACE_ROOT"])
def test_what_is_no_text_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(environ={name: value})
    [reason] = refused.value.reasons
    assert name.removeprefix("RETINUE_").lower().partition("_")[0] in reason
    assert value not in reason


def test_so_it_is_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "retinue.toml"
    file.write_text('[workspace]\nroot = "a\\u0000b"\n')
    with pytest.raises(SettingsError, match="workspace"):
        load(file, environ={})
