"""Log lines: their form, where they come from, and that no secret gets into one."""

import base64
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal
from urllib.parse import quote_plus

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from retinue.observability.logging import QUIET, configure
from retinue.observability.redaction import MASK, Redactor, masked

SECRET = "sk-Pr0j/abc+def=XYZ 0123"

Lines = Callable[[], list[str]]
Start = Callable[..., Lines]


@pytest.fixture
def start() -> Iterator[Start]:
    """Configure logging into memory; afterwards everything is as before."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    quiet = {name: logging.getLogger(name).level for name in QUIET}

    def configured(form: Literal["console", "json"] = "json", level: str = "debug", secret: str = SECRET) -> Lines:
        stream, redactor = io.StringIO(), Redactor()
        redactor.add(secret)
        configure(format=form, level=level, redactor=redactor, stream=stream)
        return lambda: stream.getvalue().splitlines()

    yield configured
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def only(lines: Lines) -> dict[str, Any]:
    (line,) = lines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def test_json_line_carries_time_level_logger_and_context(start: Start) -> None:
    lines = start()
    with bound_contextvars(request_id="r1", tenant_id="t1", run_id="u1"):
        structlog.get_logger("retinue.some").info("run_started", number=3)
    line = only(lines)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "run_started", "level": "info", "logger": "retinue.some", "number": 3,
        "request_id": "r1", "tenant_id": "t1", "run_id": "u1",
    }  # fmt: skip


def test_standard_logging_takes_the_same_way(start: Start) -> None:
    lines = start()
    with bound_contextvars(request_id="r1"):
        logging.getLogger("elsewhere").warning("half of %d", 7)
    line = only(lines)
    assert (line["event"], line["logger"], line["level"]) == ("half of 7", "elsewhere", "warning")
    assert line["request_id"] == "r1"


def test_console_is_for_people(start: Start) -> None:
    lines = start("console")
    structlog.get_logger("retinue.some").info("run_started", number=3)
    (line,) = lines()
    assert "run_started" in line
    assert "number=3" in line
    assert "\x1b" not in line


def test_level_is_kept_and_configuring_again_replaces(start: Start) -> None:
    start(level="debug")
    lines = start(level="warning")
    structlog.get_logger("a").info("no")
    logging.getLogger("b").info("no")
    structlog.get_logger("a").error("yes")
    assert only(lines)["event"] == "yes"


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        quote_plus(SECRET),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.urlsafe_b64encode(f"ab{SECRET}tail".encode()).decode(),
        base64.b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
    ],
)
def test_secret_is_found_in_every_spelling(start: Start, form: Literal["console", "json"], spelled: str) -> None:
    lines = start(form)
    structlog.get_logger("a").info("asked", url=f"https://h/?k={spelled}", deep={"list": [f"<{spelled}>"]})
    logging.getLogger("b").info("said %s", spelled)
    told = "\n".join(lines())
    assert told.count(MASK) >= 3
    core = spelled.strip("=")[4:-4]
    assert core not in told


@pytest.mark.parametrize("form", ["console", "json"])
def test_secret_is_found_in_tracebacks_which_show_no_locals(start: Start, form: Literal["console", "json"]) -> None:
    lines = start(form)
    hidden_local = "local" + "-only-value"

    def fail() -> None:
        kept = hidden_local
        raise ValueError(f"refused {SECRET}" + kept[:0])

    for logger in (structlog.get_logger("a"), logging.getLogger("b")):
        try:
            fail()
        except ValueError:
            logger.exception("failed")
    told = "\n".join(lines())
    assert told.count("Traceback") == 2
    assert told.count(f"ValueError: refused {MASK}") == 2
    assert SECRET not in told
    assert hidden_local not in told


def test_secret_with_characters_that_json_escapes(start: Start) -> None:
    secret = 'päss"wörd\\1234'
    lines = start(secret=secret)
    structlog.get_logger("a").info("x", value=f"<{secret}>")
    assert only(lines)["value"] == f"<{MASK}>"


@pytest.mark.parametrize("form", ["console", "json"])
def test_credential_headers_are_never_shown(start: Start, form: Literal["console", "json"]) -> None:
    lines = start(form)
    log, other = structlog.get_logger("a"), logging.getLogger("b")
    log.info("in", headers={"Authorization": "Bearer tok-one", "X-API-Key": "tok-two", "accept": "shown"})
    log.info("in", headers=[(b"authorization", b"Bearer tok-three"), ("cookie", "tok-four")])
    log.info("in", api_key="tok-five", password="tok-six")
    other.info("headers: {'Authorization': 'Bearer tok-seven', 'x-api-key': 'tok-eight'}")
    other.info("Authorization: Basic tok-nine\r\nX-Api-Key: tok-ten")
    other.info("sent Bearer tok-eleven-12")
    told = "\n".join(lines())
    assert "tok-" not in told
    assert "shown" in told
    assert len(lines()) == 6


def test_text_cannot_forge_lines_or_steer_the_terminal(start: Start) -> None:
    lines = start("console")
    structlog.get_logger("a").info("one\n2026 [error] forged", value="\x1b[2J\u2028\ud800")
    logging.getLogger("b").info("two\r\nforged")
    assert len(lines()) == 2
    assert "\x1b" not in "".join(lines())


@pytest.mark.parametrize("name", [*sorted(QUIET), "openai._base_client", "httpcore2.http11", "sse_starlette.sse"])
def test_libraries_that_log_content_are_quiet_whatever_their_level(start: Start, name: str) -> None:
    lines = start()
    noisy = logging.getLogger(name)
    before = noisy.level
    noisy.setLevel(logging.DEBUG)  # as the vendors' SDKs do when their own environment variable says so
    try:
        noisy.debug("body %s", "content")
        noisy.info("body %s", "content")
        noisy.warning("pool is full")
    finally:
        noisy.setLevel(before)
    assert only(lines)["event"] == "pool is full"


def test_values_that_json_does_not_know_are_written_as_text(start: Start) -> None:
    lines = start()
    structlog.get_logger("a").info("x", path=ValueError("odd"), flag=True, nothing=None, share=0.5)
    line = only(lines)
    assert (line["path"], line["flag"], line["nothing"], line["share"]) == ("odd", True, None, 0.5)


def test_short_secrets_are_left_alone() -> None:
    redactor = Redactor()
    redactor.add("run")
    assert redactor.redact("the run has run") == "the run has run"


def test_overlapping_secrets_leave_nothing_behind() -> None:
    redactor = Redactor()
    redactor.add("abcdefgh")
    redactor.add("abcdefghijkl")
    assert redactor.redact("<abcdefghijkl> <abcdefgh>") == f"<{MASK}> <{MASK}>"


def test_only_the_most_recent_secrets_are_kept_beside_the_pinned_ones() -> None:
    redactor = Redactor(capacity=2)
    redactor.add("pinned-secret", pinned=True)
    for name in ("first-secret", "second-secret", "first-secret", "third-secret"):
        redactor.add(name)
    told = redactor.redact("pinned-secret first-secret second-secret third-secret")
    assert told == f"{MASK} {MASK} second-secret {MASK}"


def test_masking_by_name_keeps_the_rest() -> None:
    given = {"a": [{"X-Api-Key": 1, "b": 2}], "c": ("x", "y", "z"), "d": [("operator_key", "v"), ("name", "w")]}
    assert masked(given) == {
        "a": [{"X-Api-Key": MASK, "b": 2}],
        "d": [["operator_key", MASK], ["name", "w"]],
        "c": ["x", "y", "z"],
    }
