"""Removing what the server holds of a tenant."""

from typing import Any
from uuid import UUID

from redis.exceptions import ResponseError

from retinue.coordination.redis.connection import Address, Link, Unreachable
from retinue.coordination.redis.keys import keys_of
from retinue.domain.errors import Unavailable

_KEYS_PER_LOOK = 1000
"""The server looks at about so many before it serves others."""


async def forget(address: Address, tenant_id: UUID) -> None:
    """Delete every key of the tenant's. One that is made meanwhile may stay; it expires by itself.

    Raises:
        Unavailable: the server cannot be reached, or does not take it.
    """
    link = Link(address)
    try:
        cursor: bytes | int = 0
        while True:
            cursor, keys = await _answer(link, "SCAN", cursor, "MATCH", keys_of(tenant_id), "COUNT", _KEYS_PER_LOOK)
            if keys:
                await _answer(link, "DEL", *keys)
            if int(cursor) == 0:
                return
    except Unreachable:
        raise Unavailable("The server for coordination cannot be reached.") from None
    finally:
        await link.aclose()


async def _answer(link: Link, *command: str | bytes | int) -> Any:
    (answer,) = await link.call(command)
    if isinstance(answer, ResponseError):
        raise Unreachable(type(answer).__name__)
    return answer
