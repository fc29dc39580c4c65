"""The roles that serve, and creating them."""

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from retinue.db.row_security.passwords import verifier
from retinue.domain.errors import RetinueError

_ATTRIBUTES = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT"
_EXISTS = sa.text("SELECT 1 FROM pg_roles WHERE rolname = :name")
_TAKEN = {"42710", "23505"}
"""Roles are common to all databases of a server: whoever migrates another one may have been faster."""
_FORBIDDEN = "42501"


class RolesUnusable(RetinueError):
    """The roles are not there, or not such that tenants would be kept apart. The detail is for the operator."""


class Role(msgspec.Struct, frozen=True):
    name: str
    password: str | None = None

    @classmethod
    def of(cls, url: str) -> "Role":
        """Whom a URL names.

        Raises:
            RolesUnusable: nobody.
        """
        parsed = sa.make_url(url)
        if not parsed.username:
            raise RolesUnusable("A URL of the database names no user.")
        return cls(parsed.username, parsed.password)

    def __repr__(self) -> str:
        return f"Role({self.name!r})"


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """Those that serve."""

    app: Role
    jobs: Role

    @classmethod
    def of(cls, url: str, jobs_url: str) -> "Roles":
        """Raises: RolesUnusable, if a URL names nobody, or both name the same."""
        roles = cls(app=Role.of(url), jobs=Role.of(jobs_url))
        if roles.app.name == roles.jobs.name:
            raise RolesUnusable(f"The role {roles.app.name} cannot be both the application's and that of jobs.")
        return roles


async def create_missing(engine: AsyncEngine, roles: Roles) -> None:
    """Create what is not there; those that exist stay as they are, and keep their passwords.

    Each in a transaction of its own: a migration is long, and whoever migrates another database would wait for it.

    Raises:
        RolesUnusable: one is missing and the owner may not create it.
    """
    for role in (roles.app, roles.jobs):
        try:
            async with engine.begin() as connection:
                if await connection.scalar(_EXISTS, {"name": role.name}) is None:
                    await connection.exec_driver_sql(_creation(role, engine.dialect))
        except sa.exc.DBAPIError as error:
            state = getattr(error.driver_exception, "sqlstate", None)
            if state == _FORBIDDEN:
                raise RolesUnusable(_advice(role, engine.dialect)) from None
            if state not in _TAKEN:
                raise


def _creation(role: Role, dialect: sa.Dialect) -> str:
    password = f" PASSWORD '{verifier(role.password)}'" if role.password else ""
    return f"CREATE ROLE {quoted(role.name, dialect)} {_ATTRIBUTES}{password}"


def _advice(role: Role, dialect: sa.Dialect) -> str:
    return (
        f"There is no role {role.name}, and the owner of the tables may not create it. Let the owner create roles, or "
        f"have an administrator run: CREATE ROLE {quoted(role.name, dialect)} {_ATTRIBUTES} PASSWORD '…'"
    )


def quoted(name: str, dialect: Any) -> str:
    """An identifier, whatever it is made of."""
    text: str = dialect.identifier_preparer.quote_identifier(name)
    return text
