"""Wrong credentials, by where they come from: guessing has to cost time."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import ceil

from retinue.domain.errors import RateLimited

MINUTE = 60.0
MAX_ADDRESSES = 50_000
MAX_GOOD = 10_000

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Attempts:
    """What this process has seen. An address that was wrong too often is not listened to for a while, except for
    credentials that were right here before: a guesser must not shut out others who share its address.
    """

    def __init__(
        self, per_minute: int, *, proxies: Sequence[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            per_minute: wrong credentials that an address may send; 0 for any number.
            proxies: networks whose `X-Forwarded-For` is believed.
        """
        self._pause = MINUTE / per_minute if per_minute else 0.0
        self._proxies = [ip_network(each) for each in proxies]
        self._clock = clock
        self._forgiven_at: OrderedDict[str, float] = OrderedDict()
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def address_of(self, client: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Whom a request comes from: the peer; behind a known proxy, whom that names last."""
        hops = [client[0] if client else ""]
        if self._proxies:
            named = b",".join(value for name, value in headers if name == b"x-forwarded-for")
            hops += [hop.strip() for hop in reversed(named.decode("latin-1").split(",")) if hop.strip()]
        address = next((hop for hop in hops if not self._is_proxy(hop)), hops[-1])
        return _place(address)

    def refuse_if_many(self, address: str, credential: bytes) -> None:
        """Before a credential is looked at.

        Raises:
            RateLimited: `rate_limited`, with the seconds to wait in its header.
        """
        left = self._forgiven_at.get(address, 0.0) - self._clock()
        if left <= MINUTE - self._pause or _digest(credential) in self._good:
            return
        raise RateLimited(
            "Too many wrong credentials came from this address.",
            headers={"Retry-After": str(max(ceil(left - MINUTE + self._pause), 1))},
        )

    def was_wrong(self, address: str) -> None:
        if not self._pause:
            return
        now = self._clock()
        self._forgiven_at[address] = max(self._forgiven_at.pop(address, now), now) + self._pause
        if len(self._forgiven_at) > MAX_ADDRESSES:
            self._forgiven_at.popitem(last=False)

    def was_right(self, credential: bytes) -> None:
        if not self._pause:
            return
        digest = _digest(credential)
        self._good[digest] = None
        self._good.move_to_end(digest)
        if len(self._good) > MAX_GOOD:
            self._good.popitem(last=False)

    def _is_proxy(self, address: str) -> bool:
        found = _read(address)
        return found is not None and any(found in network for network in self._proxies)


@lru_cache(maxsize=1024)
def _place(address: str) -> str:
    """Who has one IPv6 address has a whole network of them."""
    found = _read(address)
    if found is None:
        return address[:64]
    return str(found) if found.version == 4 else str(ip_network((found, 64), strict=False))


@lru_cache(maxsize=1024)
def _read(text: str) -> Address | None:
    """An address as proxies write it: perhaps with a port, which is another one for each connection, and one of IPv4
    perhaps as one of IPv6, whose network would be that of everybody.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found


def _digest(credential: bytes) -> bytes:
    return hashlib.sha256(credential).digest()
