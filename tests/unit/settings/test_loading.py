"""Settings: where they come from, what is refused, and that their documentation is true."""

import tomllib
from pathlib import Path

import pytest

from retinue.settings import Settings, SettingsError, check, load
from retinue.settings.documentation import document
from retinue.settings.loading import variables
from tests.unit.settings.environments import CLOSED, MASTER_KEY, OPERATOR_KEY, POSTGRESQL

ROOT = Path(__file__).parents[3]


def refusal(environ: dict[str, str] | None = None, config: Path | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(config, environ or {})
    return caught.value.reasons


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "some.toml"
    file.write_text(text)
    return file


def test_default_toml_is_what_the_classes_say() -> None:
    text = (ROOT / "config/default.toml").read_text()
    assert text == document(), "run: python -m retinue.settings.documentation > config/default.toml"


def test_default_toml_lists_exactly_the_settings_with_their_defaults() -> None:
    listed = tomllib.loads((ROOT / "config/default.toml").read_text())
    assert listed == Settings().model_dump(mode="json") | {"operator_key": "", "master_keys": ""}


def test_default_toml_changes_nothing() -> None:
    assert load(ROOT / "config/default.toml", {}).model_dump() == load(environ={}).model_dump()


def test_every_setting_is_documented() -> None:
    for path in variables().values():
        owner = Settings if len(path) == 1 else type(Settings.model_fields[path[0]].default)
        description = owner.model_fields[path[-1]].description
        assert description, path
        assert description.endswith("."), path


def test_production_example_is_accepted() -> None:
    environ = CLOSED | POSTGRESQL
    assert check(load(ROOT / "config/production.toml", environ)) == []


def test_names_that_outsiders_rely_on() -> None:
    settings = load(
        environ={
            "RETINUE_HOST": "::1",
            "RETINUE_PORT": "0",
            "RETINUE_DATABASE_URL": "postgresql+asyncpg://u:p@h:5432/d",
            "RETINUE_COORDINATION_URL": "memory://",
            "RETINUE_EGRESS_ALLOW": "Model.Internal:11434, [::1]:80,10.0.0.1:8080",
            "RETINUE_LOG_FORMAT": "json",
            "RETINUE_PROVIDER_FIRST_TOKEN_SECONDS": "1.5",
            **CLOSED,
        }
    )
    assert (settings.host, settings.port) == ("::1", 0)
    assert settings.database.url == "postgresql+asyncpg://u:p@h:5432/d"
    assert settings.egress.allow == ("model.internal:11434", "[::1]:80", "10.0.0.1:8080")
    assert settings.log.format == "json"
    assert settings.provider.first_token_seconds == 1.5
    assert settings.operator_key.get_secret_value() == OPERATOR_KEY
    assert settings.master_keys.get_secret_value() == f"k1:{MASTER_KEY}"


def test_environment_overrules_file_key_by_key(tmp_path: Path) -> None:
    file = written(tmp_path, 'port = 1\n[database]\npool_size = 2\ncommand_timeout = 3\n[log]\nformat = "json"\n')
    settings = load(environ={"RETINUE_CONFIG": str(file), "RETINUE_DATABASE_POOL_SIZE": "7"})
    assert (settings.port, settings.database.pool_size, settings.database.command_timeout) == (1, 7, 3)
    assert settings.log.format == "json"


def test_named_file_overrules_the_variable(tmp_path: Path) -> None:
    assert load(written(tmp_path, "port = 5\n"), {"RETINUE_CONFIG": "/nowhere.toml"}).port == 5


def test_file_of_the_working_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/default.toml").write_text("port = 4\n")
    assert load(environ={}).port == 4


def test_unknown_variable_is_refused_by_name() -> None:
    assert refusal({"RETINUE_DATABSE_URL": "x"}) == [
        "RETINUE_DATABSE_URL is not a setting; did you mean RETINUE_DATABASE_URL?"
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [("prot = 1\n", "prot"), ("[log]\nformta = 1\n", "log.formta"), ("[database.pool]\nsize = 1\n", "database.pool")],
)
def test_unknown_key_in_the_file_is_refused_with_its_path(tmp_path: Path, text: str, path: str) -> None:
    file = written(tmp_path, text)
    (reason,) = refusal(config=file)
    assert reason.startswith(f"{path} in {file} is not a setting")


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    reasons = refusal({"RETINUE_PORT": "99999", "RETINUE_X": "1"}, written(tmp_path, "[runs]\nevent_batch = -1\n"))
    assert len(reasons) == 3
    assert [reason.split()[0].rstrip(":") for reason in reasons] == ["RETINUE_X", "RETINUE_PORT", "runs.event_batch"]


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal({"RETINUE_CONFIG": str(tmp_path / "none.toml")})[0]
    assert "cannot be read" in refusal(config=written(tmp_path, "port = = 1"))[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RETINUE_PORT", "-1"),
        ("RETINUE_HOST", ""),
        ("RETINUE_DATABASE_POOL_SIZE", "0"),
        ("RETINUE_DATABASE_COMMAND_TIMEOUT", "-2"),
        ("RETINUE_DATABASE_COMMAND_TIMEOUT", "inf"),
        ("RETINUE_DATABASE_URL", "postgres://h/d"),
        ("RETINUE_DATABASE_URL", "postgresql+asyncpg:///d"),
        ("RETINUE_DATABASE_URL", "postgresql+asyncpg://h:port/d"),
        ("RETINUE_DATABASE_URL", "sqlite+aiosqlite://"),
        ("RETINUE_DATABASE_URL", "sqlite+aiosqlite:///:memory:"),
        ("RETINUE_COORDINATION_URL", "memory://there"),
        ("RETINUE_COORDINATION_URL", "redis://"),
        ("RETINUE_COORDINATION_URL", "redis:///0"),
        ("RETINUE_COORDINATION_URL", "redis://h:port/0"),
        ("RETINUE_COORDINATION_URL", "redis://h/first"),
        ("RETINUE_COORDINATION_URL", "rediss://h/0/1"),
        ("RETINUE_COORDINATION_URL", "redis-cluster://h"),
        ("RETINUE_WORKERS", "0"),
        ("RETINUE_WORKERS", "257"),
        ("RETINUE_RUNS_MAX_ATTEMPTS", "0"),
        ("RETINUE_RUNS_MAX_QUEUED", "0"),
        ("RETINUE_STREAM_RETRY_MS", "0.5"),
        ("RETINUE_RETENTION_EVENT_HOURS", "0"),
        ("RETINUE_RETENTION_IDEMPOTENCY_HOURS", "inf"),
        ("RETINUE_RETENTION_SWEEP_SECONDS", "-1"),
        ("RETINUE_READINESS_MAX_LOAD", "0"),
        ("RETINUE_READINESS_MAX_LOAD", "1.01"),
        ("RETINUE_READINESS_MAX_LAG_MS", "0"),
        ("RETINUE_LIMITS_MESSAGES", "-1"),
        ("RETINUE_LIMITS_MESSAGES_SECONDS", "0"),
        ("RETINUE_SESSIONS_TTL_SECONDS", "-1"),
        ("RETINUE_SESSIONS_TTL_SECONDS", "31536001"),
        ("RETINUE_APPROVALS_TTL_SECONDS", "0"),
        ("RETINUE_APPROVALS_TTL_SECONDS", "31536001"),
        ("RETINUE_APPROVALS_PASSWORD_TRIES", "0"),
        ("RETINUE_APPROVALS_SWEEP_SECONDS", "0"),
        ("RETINUE_TOOLS_MAX_CALLS_PER_STEP", "0"),
        ("RETINUE_WORKSPACE_ENABLED", "perhaps"),
        ("RETINUE_WORKSPACE_OUTSIDE", "allow"),
        ("RETINUE_WORKSPACE_ROOT", ""),
        ("RETINUE_WORKSPACE_MEMORY_BYTES", "1024"),
        ("RETINUE_WORKSPACE_PATH", ""),
        ("RETINUE_WORKSPACE_PATH", "/usr/bin:"),
        ("RETINUE_WORKSPACE_PATH", "bin:/usr/bin"),
        ("RETINUE_EGRESS_ALLOW", "host"),
        ("RETINUE_EGRESS_ALLOW", "http://host:80"),
        ("RETINUE_EGRESS_ALLOW", "*.internal:80"),
        ("RETINUE_EGRESS_ALLOW", "host:0"),
        ("RETINUE_EGRESS_ALLOW", "host:80/path"),
        ("RETINUE_EGRESS_ALLOW", "::1:80"),
        ("RETINUE_LOG_FORMAT", "xml"),
        ("RETINUE_MASTER_KEYS", "no-colon"),
        ("RETINUE_MASTER_KEYS", "k1:AAAA"),
        ("RETINUE_MASTER_KEYS", "k1:%%%%"),
        ("RETINUE_MASTER_KEYS", f"k1:{MASTER_KEY},k1:{MASTER_KEY}"),
        ("RETINUE_OPERATOR_KEY", ""),
    ],
)
def test_malformed_values_are_refused_under_their_own_name(name: str, value: str) -> None:
    (reason,) = refusal({name: value})
    assert reason.startswith(name)


def test_refusals_and_representations_show_no_secret() -> None:
    environ = {"RETINUE_MASTER_KEYS": "k1:c2VjcmV0LXNlY3JldA==", "RETINUE_DATABASE_URL": "mysql://u:hunter22@h/d"}
    refused = " ".join(refusal(environ))
    assert "c2VjcmV0" not in refused
    assert "hunter22" not in refused
    passwords = {"URL": "hunter%202", "JOBS_URL": "hunter3", "OWNER_URL": "hunter4"}
    urls = {f"RETINUE_DATABASE_{name}": f"postgresql+asyncpg://{name}:{word}@h/d" for name, word in passwords.items()}
    settings = load(environ=CLOSED | urls)
    for shown in (repr(settings), str(settings), str(settings.public())):
        assert not any(secret in shown for secret in (OPERATOR_KEY, MASTER_KEY, "hunter"))
    for name in passwords:
        assert settings.public()["database"][name.lower()] == f"postgresql+asyncpg://{name}:***@h/d"
    assert set(settings.secrets()) == {OPERATOR_KEY, MASTER_KEY, "hunter%202", "hunter 2", "hunter3", "hunter4"}


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_JOBS_URL", "DATABASE_OWNER_URL", "COORDINATION_URL"])
@pytest.mark.parametrize("query", ["password=hunter22", "user=postgres", "a=1&ssl_password=hunter22", "username="])
def test_credentials_stand_before_the_host_only(name: str, query: str) -> None:
    """Elsewhere nobody would know them for what they are, and the log and `check-config` would show them."""
    scheme = "rediss" if name.startswith("C") else "postgresql+asyncpg"
    (reason,) = refusal({f"RETINUE_{name}": f"{scheme}://u@h/0?{query}"})
    assert reason.startswith(f"RETINUE_{name}: must name a user and a password before the host")
    assert "hunter22" not in reason


def test_variables_without_the_prefix_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`PORT` and `WORKERS` are set on many machines, for other programs."""
    for name in ("PORT", "WORKERS", "HOST"):
        monkeypatch.setenv(name, "3")
    assert Settings() == Settings.model_construct()
    assert (Settings().port, Settings().workers) == (8000, 1)
