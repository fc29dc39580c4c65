"""Secrets that do not show themselves."""

import copy
import pickle

import msgspec
import pytest

from retinue.domain.secret import Secret

SECRET = Secret("open sesame")


def test_it_is_told_to_whoever_asks_by_name() -> None:
    assert SECRET.reveal() == "open sesame"


def test_it_does_not_show_itself() -> None:
    shown = [str(SECRET), repr(SECRET), f"{SECRET}", f"{SECRET!r}", f"{[SECRET]}", f"{(SECRET,)!s}"]
    assert not any("sesame" in text for text in shown)
    assert "sesame" not in str(ValueError(SECRET))
    with pytest.raises(TypeError):
        msgspec.json.encode(SECRET)
    with pytest.raises(TypeError):
        vars(SECRET)


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_not_copied_or_stored(leave: object) -> None:
    with pytest.raises(TypeError) as caught:
        leave(SECRET)  # type: ignore[operator]
    assert "sesame" not in str(caught.value)
