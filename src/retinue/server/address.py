"""The address that is listened on."""

import socket

from retinue.domain.errors import RetinueError

BACKLOG = 1024


class CannotListen(RetinueError):
    """The address is taken or not ours."""


def listen(host: str, port: int, send_timeout: float) -> socket.socket:
    """A listening socket, whose connections are reset once their peer has taken nothing for `send_timeout` seconds.

    Raises:
        CannotListen: with the reason.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"Cannot listen on {host}:{port}: {error.strerror or error}") from None
    _let_go_of_dead_readers(listener, send_timeout)
    return listener


def base_url(listener: socket.socket) -> str:
    """The address as a client types it, also where port 0 took a free one."""
    host, port = listener.getsockname()[:2]
    return url_of(host, port)


def url_of(host: str, port: int) -> str:
    """The base URL; an IPv6 address needs brackets in it."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _let_go_of_dead_readers(listener: socket.socket, seconds: float) -> None:
    """Have the kernel reset connections, inherited from their listener, whose peer takes nothing for so long.

    Hypercorn closes a connection by sending what is left. To a reader that was cut off because it reads nothing that
    would take for ever, and hold the socket as long.
    """
    if option := getattr(socket, "TCP_USER_TIMEOUT", None):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, option, round(seconds * 1000))
