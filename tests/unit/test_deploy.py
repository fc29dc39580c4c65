"""The files in deploy/, as far as they can be checked without running containers."""

import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from retinue.http.headers import NO_STORE, SECURITY_HEADERS
from retinue.server.process import stop_within
from retinue.settings import check, load
from retinue.settings.loading import CONFIG_VARIABLE, variables

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
NGINX = (DEPLOY / "nginx.conf").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
REPLICAS = ("retinue-1", "retinue-2")
PASSWORDS = ("POSTGRES_PASSWORD", "POSTGRES_APP_PASSWORD", "POSTGRES_JOBS_PASSWORD")

Directive = tuple[str, list[str], "list[Directive] | None"]


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction of a Dockerfile with its argument, continuation lines joined, comments dropped."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def directives(text: str) -> list[Directive]:
    """Parse nginx's grammar: words, `;`, `{`, `}`, quotes and comments."""
    tokens = re.findall(r"#[^\n]*|'[^']*'|\"[^\"]*\"|[;{}]|(?:[^\s;{}'\"#]|\{\d+\})+", text)
    stack: list[list[Directive]] = [[]]
    words: list[str] = []
    for token in (token for token in tokens if not token.startswith("#")):
        if token == "{":
            children: list[Directive] = []
            stack[-1].append((words[0], words[1:], children))
            stack.append(children)
        elif token == "}":
            assert not words, f"a directive is not closed before }}: {words}"
            stack.pop()
            assert stack, "there is a } too many"
        elif token == ";":
            stack[-1].append((words[0], words[1:], None))
        else:
            words.append(token.strip("'\""))
            continue
        words = []
    assert len(stack) == 1, "a block is not closed"
    assert not words, f"a directive is not closed: {words}"
    return stack[0]


def block(parent: list[Directive], name: str, *args: str) -> list[Directive]:
    for directive, given, children in parent:
        if directive == name and given[: len(args)] == list(args) and children is not None:
            return children
    raise AssertionError(f"there is no {name} {args}")


def values(parent: list[Directive], name: str) -> list[list[str]]:
    return [given for directive, given, _ in parent if directive == name]


@pytest.fixture(scope="module")
def http() -> list[Directive]:
    return block(directives(NGINX), "http")


def location_of(server: list[Directive], path: str) -> list[Directive]:
    """nginx's own choice: the first matching expression, else the prefix."""
    for name, given, children in server:
        if name == "location" and given[0] == "~" and re.search(given[1], path):
            assert children is not None
            return children
    return block(server, "location", "/")


# --- Dockerfile


def test_dockerfile_knows_only_real_instructions() -> None:
    known = {
        "FROM",
        "ENV",
        "WORKDIR",
        "RUN",
        "COPY",
        "USER",
        "EXPOSE",
        "HEALTHCHECK",
        "STOPSIGNAL",
        "ENTRYPOINT",
        "CMD",
    }
    assert {name for name, _ in instructions(DOCKERFILE)} <= known
    assert instructions(DOCKERFILE)[0][0] == "FROM"


def test_dockerfile_copies_what_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name, argument in instructions(DOCKERFILE):
        if name == "COPY" and "--from" not in argument:
            for source in shlex.split(argument)[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source.removeprefix('./')}" in ignored, source


def test_image_is_small_pinned_and_not_root() -> None:
    steps = instructions(DOCKERFILE)
    assert [argument.split()[0] for name, argument in steps if name == "FROM"] == ["python:3.11-slim"] * 2
    assert any("--require-hashes --requirement requirements.lock" in argument for _, argument in steps)
    assert all("--require-hashes" in a or "--no-deps" in a for _, a in steps if "pip install" in a)
    assert [argument for name, argument in steps if name == "USER"] == ["10001:10001"]
    order = [name for name, _ in steps]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert any(name == "HEALTHCHECK" for name in order)


def test_commands_of_the_images_exist() -> None:
    for service in ("migrate", *REPLICAS):
        assert SERVICES[service].get("command", ["serve"])[0] in {"serve", "migrate"}
    assert ("ENTRYPOINT", '["python", "-m", "retinue"]') in instructions(DOCKERFILE)


# --- compose.yaml


def test_every_variable_is_a_setting() -> None:
    used = set(re.findall(r"RETINUE_[A-Z_]+", DOCKERFILE + (DEPLOY / "compose.yaml").read_text()))
    used |= set(re.findall(r"RETINUE_[A-Z_]+", (DEPLOY / "README.md").read_text()))
    assert used
    assert used <= {*variables(), CONFIG_VARIABLE}


def test_replicas_start_with_the_environment_they_get() -> None:
    for service in REPLICAS:
        environ = {name: filled(text) for name, text in SERVICES[service]["environment"].items()}
        environ[CONFIG_VARIABLE] = environ[CONFIG_VARIABLE].replace("/app/", f"{ROOT}/")
        settings = load(environ=environ)
        assert settings.host == "0.0.0.0"
        assert f"EXPOSE {settings.port}" in DOCKERFILE
        grace = SERVICES[service]["stop_grace_period"]
        assert int(grace.removesuffix("s")) > stop_within(settings.runs.drain_seconds)
        assert check(settings) == []


def filled(text: str) -> str:
    """What compose makes of `${NAME:?message}` and `${NAME:-default}`, with plausible values."""
    given = {
        **dict.fromkeys(PASSWORDS, "letters1"),
        "RETINUE_OPERATOR_KEY": "operator-key-of-the-test",
        "RETINUE_MASTER_KEYS": f"k1:{'A' * 43}=",
    }
    return re.sub(r"\$\{(\w+):[?-]([^}]*)\}", lambda found: given.get(found[1], found[2]), text)


def test_secrets_are_required_and_never_written_down() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    for name in (*PASSWORDS, "RETINUE_OPERATOR_KEY", "RETINUE_MASTER_KEYS"):
        uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", text)
        assert uses, name
        assert all(use.startswith(":?") for use in uses), name


def test_only_nginx_can_be_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert "127.0.0.1" in SERVICES["nginx"]["ports"][0]
    assert COMPOSE["networks"]["data"]["internal"] is True
    assert SERVICES["postgres"]["networks"] == ["data"]
    assert "data" not in SERVICES["nginx"]["networks"]


def test_order_of_the_start() -> None:
    assert SERVICES["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for service in REPLICAS:
        assert SERVICES[service]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    for described in SERVICES.values():
        assert set(described.get("depends_on", {})) <= set(SERVICES)


def test_replicas_have_no_more_rights_than_needed() -> None:
    for service in REPLICAS:
        assert SERVICES[service]["read_only"] is True
        assert SERVICES[service]["cap_drop"] == ["ALL"]


def test_replicas_hear_each_other_through_redis() -> None:
    for service in REPLICAS:
        url = urlsplit(SERVICES[service]["environment"]["RETINUE_COORDINATION_URL"])
        assert (url.scheme, url.hostname) == ("redis", "redis")
        assert set(SERVICES["redis"]["networks"]) <= set(SERVICES[service]["networks"])
        # It must not keep them from starting.
        assert SERVICES[service]["depends_on"]["redis"] == {"condition": "service_started"}


def test_redis_keeps_nothing_and_drops_what_is_due_first() -> None:
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert (options["--save"], options["--appendonly"]) == ("", "no")
    assert options["--maxmemory-policy"] == "volatile-ttl"
    bytes_of = {"mb": 2**20, "m": 2**20}
    used, allowed = (
        int(text.rstrip("mb")) * bytes_of[text.lstrip("0123456789")]
        for text in (options["--maxmemory"], SERVICES["redis"]["mem_limit"])
    )
    assert used < allowed
    assert "profiles" not in SERVICES["redis"]
    assert SERVICES["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]


# --- nginx.conf

STREAMS = [
    "/api/v1/conversations/c1/messages/stream",
    "/api/v1/conversations/c1/events",
    "/api/v1/runs/r1/stream",
    "/api/v1/runs/r1/continue/stream",
    "/api/v1/runs/r1/password/stream",
]


@pytest.mark.parametrize("path", STREAMS)
def test_streams_are_not_buffered(http: list[Directive], path: str) -> None:
    location = location_of(block(http, "server"), path)
    assert values(location, "proxy_buffering") == [["off"]]
    assert values(location, "gzip") == [["off"]]
    assert seconds(location, "proxy_read_timeout") >= 300


@pytest.mark.parametrize("path", ["/api/v1/tenants", "/api/v1/runs/r1/events", "/api/v1/runs/r1"])
def test_other_routes_are_ordinary(http: list[Directive], path: str) -> None:
    location = location_of(block(http, "server"), path)
    assert values(location, "proxy_buffering") == []
    assert values(location, "proxy_pass") == [["http://retinue"]]


def test_answers_without_a_stream_may_take_as_long_as_a_run(http: list[Directive]) -> None:
    location = location_of(block(http, "server"), "/api/v1/conversations/c1/messages")
    assert seconds(location, "proxy_read_timeout") > load(ROOT / "config/production.toml", {}).limits.run_seconds


def seconds(location: list[Directive], name: str) -> int:
    ((value,),) = values(location, name)
    return int(value.removesuffix("s"))


def test_connections_are_kept_and_posts_never_repeated(http: list[Directive]) -> None:
    assert values(http, "proxy_http_version") == [["1.1"]]
    assert ["Connection", ""] in values(http, "proxy_set_header")
    assert values(block(http, "upstream", "retinue"), "keepalive")
    assert all("non_idempotent" not in given for given in values(http, "proxy_next_upstream"))


def test_requests_spread_over_the_replicas_of_the_compose_file(http: list[Directive]) -> None:
    servers = values(block(http, "upstream", "retinue"), "server")
    assert [server[0] for server in servers] == [f"{service}:8000" for service in REPLICAS]
    assert [server[0] for server in servers if "backup" not in server] == ["retinue-1:8000", "retinue-2:8000"]


def test_headers(http: list[Directive]) -> None:
    forwarded = dict(values(http, "proxy_set_header"))
    assert forwarded["X-Forwarded-For"] == "$remote_addr"
    assert {"Host", "X-Forwarded-Proto", "X-Forwarded-Host"} <= set(forwarded)
    server = block(http, "server")
    # What Retinue sends itself must not come twice, let alone with another value.
    assert not values(http, "add_header")
    assert not values(server, "add_header")
    for name, parameters, children in server:
        if name == "location":
            assert children is not None
            assert not values(children, "proxy_set_header")
            assert bool(values(children, "add_header")) is (parameters == ["@unavailable"])


def test_nginx_s_own_answers_carry_the_headers_of_all_others(http: list[Directive]) -> None:
    added = values(block(block(http, "server"), "location", "@unavailable"), "add_header")
    assert all(given[-1] == "always" for given in added)
    sent = {name.lower(): value.rstrip("'") for name, value, _ in added}
    ours = {name.decode(): value.decode().rstrip("'") for name, value in (*SECURITY_HEADERS, NO_STORE)}
    assert sent == ours


def test_body_bound_leaves_the_refusal_to_retinue(http: list[Directive]) -> None:
    ((value,),) = values(http, "client_max_body_size")
    assert int(value.removesuffix("m")) * 1_048_576 > load(ROOT / "config/production.toml", {}).limits.body_bytes


@pytest.mark.parametrize("broken", ["http {", "http { } }", "a b { c d }", "a b"])
def test_the_parser_notices_broken_files(broken: str) -> None:
    with pytest.raises(AssertionError):
        directives(broken)
