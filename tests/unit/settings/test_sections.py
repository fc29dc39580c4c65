"""Settings on their way into the values that the rest of Retinue is given."""

import msgspec
import pytest

from retinue.domain.policy import ByteCaps, Deadlines, RetryPolicy, RunLimits, SessionPolicy
from retinue.settings import Settings, load


def test_sections_convert_to_the_values_of_the_domain() -> None:
    settings = Settings()
    assert settings.provider.deadlines() == Deadlines()
    assert settings.provider.retry_policy() == RetryPolicy()
    assert settings.provider.byte_caps() == ByteCaps()
    assert limits_of(settings) == RunLimits()
    assert settings.limits.session_policy(ttl_seconds=settings.sessions.ttl_seconds) == SessionPolicy()


def limits_of(settings: Settings) -> RunLimits:
    """Those of a run, from all sections that know of some."""
    limits = settings.runs.complete(settings.limits.run_limits())
    return settings.approvals.complete(settings.tools.complete(limits))


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("LIMITS_MAX_STEPS", "max_steps"),
        ("LIMITS_RUN_SECONDS", "duration"),
        ("RUNS_MAX_ATTEMPTS", "max_attempts"),
        ("RUNS_MAX_QUEUED", "max_queued"),
        ("TOOLS_SECONDS", "tool_seconds"),
        ("TOOLS_RESULT_CHARS", "result_chars"),
        ("TOOLS_MAX_CALLS_PER_STEP", "max_calls_per_step"),
        ("TOOLS_MAX_IDENTICAL_FAILURES", "max_identical_failures"),
        ("APPROVALS_TTL_SECONDS", "approval_seconds"),
        ("APPROVALS_PASSWORD_TRIES", "password_tries"),
    ],
)
def test_limits_of_a_run_come_from_their_sections(key: str, field: str) -> None:
    limits = limits_of(load(environ={f"RETINUE_{key}": "47"}))
    assert limits == msgspec.structs.replace(RunLimits(), **{field: 47})


def test_sessions_and_rates_make_one_policy() -> None:
    environ = {"RETINUE_LIMITS_MESSAGES": "0", "RETINUE_LIMITS_MESSAGES_SECONDS": "3"}
    policy = load(environ=environ).limits.session_policy(ttl_seconds=0)
    assert policy == SessionPolicy(ttl_seconds=0, max_messages=0, window_seconds=3)


def test_a_message_may_be_as_long_as_people_were_used_to() -> None:
    assert Settings().limits.content_chars == 10_000


def test_workspaces_are_off_unless_asked_for() -> None:
    workspace = Settings().workspace
    assert not any((workspace.enabled, workspace.sudo, workspace.unconfined, workspace.network))
    assert workspace.outside == "ask"
