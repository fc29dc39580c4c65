"""Who knows which user of PostgreSQL in deploy/compose.yaml."""

from urllib.parse import urlsplit

from retinue.settings import check_migration, load
from retinue.settings.loading import CONFIG_VARIABLE
from tests.unit.test_deploy import REPLICAS, ROOT, SERVICES, filled


def test_the_owner_of_the_tables_is_known_to_the_migration_alone() -> None:
    for service in REPLICAS:
        assert "RETINUE_DATABASE_OWNER_URL" not in SERVICES[service]["environment"]
        assert not any("POSTGRES_PASSWORD" in text for text in SERVICES[service]["environment"].values())
    environ = {name: filled(text) for name, text in SERVICES["migrate"]["environment"].items()}
    environ[CONFIG_VARIABLE] = environ[CONFIG_VARIABLE].replace("/app/", f"{ROOT}/")
    settings = load(environ=environ)
    assert check_migration(settings) == []
    owner = urlsplit(settings.database.owner_url)
    given = SERVICES["postgres"]["environment"]
    assert (owner.username, owner.path) == (given["POSTGRES_USER"], f"/{given['POSTGRES_DB']}")
    assert {urlsplit(url).path for url in settings.database_urls()} == {owner.path}
