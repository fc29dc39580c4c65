"""A tenant that was made for the proof, and what its users have."""

from collections.abc import Mapping

import msgspec

from retinue.proving.things import Things


class Corner(msgspec.Struct, frozen=True, kw_only=True):
    """What one user has with one employee."""

    things: Things
    word: str
    """Stands in everything that is said here, and nowhere else."""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant with all that can be in one, and credentials for it."""

    things: Things
    """Of the tenant as a whole."""
    words: frozenset[str]
    """Each of them stands in this tenant's texts and names only."""
    credentials: Mapping[str, str]
    """`admin`, `member`, `viewer`, `revoked`; and tokens: `user`, `neighbour` (another one), `bound to an employee`,
    `bound to a conversation`.
    """
    user: Corner
    """Of the user whose tokens these are, with the first employee."""
    elsewhere: Corner
    """Of the same user, with the second employee."""
    neighbour: Corner
    """Of the other user, with the first employee."""

    @property
    def tenant(self) -> str:
        return self.things.first("tenant")

    @property
    def all_things(self) -> Things:
        return self.things | self.user.things
