"""The server's own files are nobody's to reach, wherever the operator has put them."""

import os
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from retinue.__main__ import main
from retinue.app.tools import open_registry
from retinue.domain.ids import new_id
from retinue.settings import Settings
from retinue.tools.base import Caller


async def refusal(path: Path, tmp_path: Path) -> str | None:
    settings = Settings.model_validate({"workspace": {"enabled": True, "root": str(tmp_path / "root")}})
    nothing = cast("Any", None)
    tool = open_registry(settings, database=nothing, http=nothing, policy=nothing).find("file_read")
    assert tool is not None
    caller = Caller(tenant_id=new_id(), employee_id=new_id(), conversation_id=new_id(), run_id=new_id())
    return (await tool.assess(tool.read({"path": str(path)}), caller)).refusal


async def test_the_file_with_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "elsewhere" / "retinue.toml"
    file.parent.mkdir()
    file.touch()
    monkeypatch.delenv("RETINUE_CONFIG", raising=False)
    assert await refusal(file, tmp_path) is None
    monkeypatch.setenv("RETINUE_CONFIG", str(file))
    assert await refusal(file, tmp_path) == "This belongs to the server itself."
    assert await refusal(file.parent / "other.toml", tmp_path) is None


def test_an_option_is_handed_on_to_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "retinue.toml"
    file.touch()
    monkeypatch.setenv("RETINUE_CONFIG", "")
    assert CliRunner().invoke(main, ["--config", str(file), "check-config"]).exit_code == 0
    assert os.environ["RETINUE_CONFIG"] == str(file)
