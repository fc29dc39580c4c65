"""Every attack on every channel: nobody allows anything, so nothing is written, nothing is left, nothing is told."""

from itertools import product

import pytest

from tests.e2e.injection.attacking import attack_by
from tests.e2e.injection.attacks import ATTACKS
from tests.e2e.injection.channels import CHANNELS
from tests.e2e.injection.ground import World
from tests.e2e.streams.talk import VENDORS, Vendor

pytestmark = pytest.mark.slow

SCENARIOS = [
    pytest.param(channel, attack, VENDORS[number % 2], number % 3 == 0, id=f"{channel}-{attack}")
    for number, (channel, attack) in enumerate(product(CHANNELS, ATTACKS))
]


@pytest.mark.parametrize(("channel", "attack", "vendor", "denies"), SCENARIOS)
async def test_attack(on_sqlite: World, channel: str, attack: str, vendor: Vendor, denies: bool) -> None:
    await attack_by(on_sqlite, channel, ATTACKS[attack], vendor=vendor, denies=denies or "again" in attack)
