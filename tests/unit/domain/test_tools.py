"""Words about tool calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.ids import new_id
from retinue.domain.tools import OPEN_CALLS, CallStatus, Effect, JournalEntry, Risk

risks = st.sampled_from(Risk)


def entry(position: int = 1, status: CallStatus = CallStatus.PROPOSED) -> JournalEntry:
    return JournalEntry(
        run_id=RUN,
        position=position,
        step=1,
        call_id="call_1",
        name="lookup",
        version="1",
        args={},
        effect=Effect.READ,
        risk=Risk.NONE,
        status=status,
    )


RUN = new_id()


def test_risks_are_ordered() -> None:
    assert sorted(Risk, key=lambda risk: risk.severity) == [Risk.NONE, Risk.LOW, Risk.MEDIUM, Risk.HIGH]


@given(risks, risks)
def test_a_word_about_the_risk_never_lowers_it(computed: Risk, said: Risk) -> None:
    worse = computed.or_worse(said)
    assert worse in {computed, said}
    assert worse.severity == max(computed.severity, said.severity)


@pytest.mark.parametrize("status", CallStatus)
def test_only_what_may_still_come_to_something_is_open(status: CallStatus) -> None:
    assert entry(status=status).is_open is (status in OPEN_CALLS)
    assert entry(status=status).is_open is (status in {"proposed", "approved", "executing"})


def test_every_call_has_an_idempotency_key_of_its_own() -> None:
    assert entry().idempotency_key == f"{RUN}:1"
    assert len({entry(position).idempotency_key for position in range(99)}) == 99
