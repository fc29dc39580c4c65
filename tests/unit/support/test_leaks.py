"""The search through what servers leave behind finds what it is there to find."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retinue.domain.ids import new_id
from tests.support.leaks import note, refuse_leaks

CREDENTIAL = f"rtn_key_{0:032x}_{0:048x}_00000000"


def ended(folder: Path, output: str) -> Any:
    environment = {"RETINUE_OPERATOR_KEY": "operator-secret", "RETINUE_MASTER_KEYS": "k1:bWFzdGVyLWtleQ=="}
    return SimpleNamespace(folder=folder, output=output, environment=environment)


@pytest.mark.parametrize("word", ["operator-secret", "bWFzdGVyLWtleQ==", CREDENTIAL, "sk-leaks-canary", "Tr0ub4dor&3"])
def test_secrets_in_a_log_are_found(tmp_path: Path, word: str) -> None:
    note({"llm_api_key": "sk-leaks-canary", "password": "Tr0ub4dor&3"})
    with pytest.raises(AssertionError, match="the log"):
        refuse_leaks(ended(tmp_path, f"what is said of {word} here"))


def test_secrets_in_a_database_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "retinue.db-wal").write_bytes(b"\xff\x00operator-secret\x00")
    with pytest.raises(AssertionError, match="db-wal"):
        refuse_leaks(ended(tmp_path, ""))


def test_other_words_are_none(tmp_path: Path) -> None:
    note({"llm_api_key": "short", "password": None})
    note({"llm_api_key": "x" * 20, "password": "one of many"})
    refuse_leaks(ended(tmp_path, f"short {new_id()} rtn_key_1 {'x' * 20} one of many"))
