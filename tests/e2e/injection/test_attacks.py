"""Every attack on every channel: nobody allows anything, so nothing is written, nothing is left, nothing is told."""

from functools import partial
from itertools import cycle, product

import pytest

from tests.e2e.injection.attacking import attack_by
from tests.e2e.injection.attacks import ATTACKS, Attack
from tests.e2e.injection.channels import CHANNELS
from tests.e2e.injection.commands import COMMANDS, attempts
from tests.e2e.injection.ground import World
from tests.e2e.streams.talk import VENDORS, Vendor

pytestmark = pytest.mark.slow

SCENARIOS = [
    pytest.param(channel, attack, VENDORS[number % 2], number % 7 == 0, id=f"{channel}-{attack}")
    for number, (channel, attack) in enumerate(product(CHANNELS, ATTACKS))
]


def test_there_are_enough() -> None:
    assert len(SCENARIOS) >= 200


@pytest.mark.parametrize(("channel", "attack", "vendor", "denies"), SCENARIOS)
async def test_attack(on_sqlite: World, channel: str, attack: str, vendor: Vendor, denies: bool) -> None:
    await attack_by(on_sqlite, channel, ATTACKS[attack], vendor=vendor, denies=denies or "again" in attack)


KINDS = [
    pytest.param(channel, kind, VENDORS[number % 2], id=f"{channel}-{kind}")
    for number, (channel, kind) in enumerate(zip(cycle(("file", "user", "page")), COMMANDS, strict=False))
]


@pytest.mark.parametrize(("channel", "kind", "vendor"), KINDS)
async def test_commands(on_sqlite: World, channel: str, kind: str, vendor: Vendor) -> None:
    await attack_by(on_sqlite, channel, Attack(partial(attempts, kind)), vendor=vendor, denies=False)


ELSEWHERE = [
    pytest.param(channel, attack, VENDORS[number % 2], id=f"{channel}-{attack}")
    for number, (channel, attack) in enumerate(zip(CHANNELS, ATTACKS, strict=False))
]


@pytest.mark.parametrize(("channel", "attack", "vendor"), ELSEWHERE)
async def test_attack_on_postgresql(on_postgresql: World, channel: str, attack: str, vendor: Vendor) -> None:
    await attack_by(on_postgresql, channel, ATTACKS[attack], vendor=vendor, denies="again" in attack)
