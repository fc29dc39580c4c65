"""The services that are compared: each in processes of its own, all asked in the same way."""

from tests.bench.contenders.base import Contender
from tests.bench.contenders.plain import obvious, relaying
from tests.bench.contenders.retinue import Retinue, retinue

__all__ = ["Contender", "Retinue", "obvious", "relaying", "retinue"]
