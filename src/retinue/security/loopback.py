"""What open mode asks instead of a key: that a request comes from this machine on its user's own account.

A loopback address keeps strangers' machines out, not strangers' pages in the user's browser. Such a page can send
requests to a loopback address (then `Origin` names it), or have its own name resolve to one (then `Host` names it).
"""

import re
from collections.abc import Iterable

from retinue.domain.errors import ForeignHost, ForeignOrigin

_HOST = re.compile(rb"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(rb"https?://" + _HOST.pattern, re.IGNORECASE)


def require_loopback(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Header names in lower case.

    Raises:
        ForeignHost: `Host` is missing or names no loopback address.
        ForeignOrigin: `Origin` is there and is no loopback origin.
    """
    has_host = False
    for name, value in headers:
        if name == b"host":
            has_host = True
            if not _HOST.fullmatch(value):
                raise ForeignHost("Use localhost or a loopback address, or set an operator key on the server.")
        elif name == b"origin" and not _ORIGIN.fullmatch(value):
            raise ForeignOrigin("Pages from elsewhere may call this server only if it has an operator key.")
    if not has_host:
        raise ForeignHost("Send a Host header.")
