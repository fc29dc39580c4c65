"""A tenant with an employee to talk to, for the first five minutes with Retinue."""

from retinue.demo.seeding import Seed, seed
from retinue.demo.showing import banner
from retinue.demo.talking import Decide, DemoFailed, talk
from retinue.demo.words import QUESTION

__all__ = ["QUESTION", "Decide", "DemoFailed", "Seed", "banner", "seed", "talk"]
