"""Every backend, by the scheme of its URL."""

from collections.abc import Callable
from urllib.parse import urlsplit

from retinue.coordination.base import Coordination
from retinue.coordination.memory import MemoryCoordination
from retinue.coordination.redis import RedisCoordination

_BACKENDS: dict[str, Callable[[str, str], Coordination]] = {
    "memory": lambda _url, _process: MemoryCoordination(),
    "redis": lambda url, process: RedisCoordination(url, process=process),
    "rediss": lambda url, process: RedisCoordination(url, process=process),
}


def connect(url: str, *, process: str) -> Coordination:
    """The backend that `url` names; `process` tells this process from every other one. Connects to nothing yet.

    Raises:
        ValueError: no backend has this scheme. The message does not repeat the URL.
    """
    scheme = urlsplit(url).scheme
    try:
        make = _BACKENDS[scheme]
    except KeyError:
        raise ValueError(f"coordination has no backend {scheme!r}; there are {', '.join(_BACKENDS)}") from None
    return make(url, process)
