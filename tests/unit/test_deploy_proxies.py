"""Behind nginx, whoever tries keys is told from whoever has one."""

import re
from collections.abc import Sequence

import pytest

from retinue.domain.errors import RateLimited
from retinue.security.attempts import Attempts
from retinue.settings import load
from tests.unit.test_deploy import DEPLOY, NGINX, REPLICAS, ROOT, SERVICES, filled

PROXY = ("172.18.0.6", 40_000)
"""An address as Docker gives it to a container."""


def proxies_of(service: str) -> Sequence[str]:
    environ = {name: filled(text) for name, text in SERVICES[service]["environment"].items()}
    environ["RETINUE_CONFIG"] = environ["RETINUE_CONFIG"].replace("/app/", f"{ROOT}/")
    return load(environ=environ).rates.trusted_proxies


@pytest.mark.parametrize("service", REPLICAS)
@pytest.mark.parametrize("stranger", ["198.51.100.1", "2001:db8::1", "10.1.2.3"])
def test_a_stranger_who_tries_keys_shuts_nobody_else_out(service: str, stranger: str) -> None:
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in NGINX
    attempts = Attempts(2, proxies=proxies_of(service))
    theirs, others = (
        attempts.address_of(PROXY, [(b"x-forwarded-for", address.encode())]) for address in (stranger, "203.0.113.9")
    )
    for _ in range(3):
        attempts.was_wrong(theirs)
    with pytest.raises(RateLimited):
        attempts.refuse_if_many(theirs, b"one more")
    attempts.refuse_if_many(others, b"a fresh token")


def test_others_are_told_to_say_so_as_well() -> None:
    ways = re.split(r"^## ", (DEPLOY / "README.md").read_text(), flags=re.MULTILINE)
    assert sum("RETINUE_RATES_TRUSTED_PROXIES" in way for way in ways) >= 2
