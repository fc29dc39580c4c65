"""Getting a text from a URL that somebody else chose."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Hashable
from urllib.parse import urljoin

import httpx2
import msgspec

from retinue import __version__
from retinue.domain.errors import EgressRefused
from retinue.egress.body import is_text, read_text
from retinue.egress.lookups import asking_for
from retinue.egress.policy import EgressPolicy, check_url
from retinue.egress.retry_after import retry_after_of

MAX_REDIRECTS = 5
MAX_TYPE_CHARS = 127
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HEADERS = {
    "User-Agent": f"Retinue/{__version__}",
    "Accept": "text/html, text/*;q=0.9, application/json;q=0.9, */*;q=0.1",
    "Accept-Encoding": "gzip",
}
"""All that is sent, to every hop: nothing of the tenant's, and nothing of the page before."""


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of any status that is not a redirect."""

    url: str
    """Where it came from in the end."""
    status: int
    content_type: str
    """Type and subtype in lower case, without parameters; empty if the server named none."""
    text: str | None
    """Null where it was not read: the answer is no success, or no text."""
    is_cut: bool = False
    """There is more than `text` holds."""
    retry_after: float | None = None
    """Seconds for which the server asks to be left alone."""


async def fetch(
    client: httpx2.AsyncClient,
    policy: EgressPolicy,
    url: str,
    *,
    asker: Hashable,
    max_bytes: int,
    max_redirects: int = MAX_REDIRECTS,
    timeout: float,  # noqa: ASYNC109 - over all hops together
) -> Fetched:
    """GET a URL and follow its redirects, each judged as if it were the first.

    Args:
        client: one of `make_client`, whose connections are judged again.
        asker: whose account the lookups of names are on.
        max_bytes: of the body, both as it travels and unpacked; the rest is left unread.
        timeout: seconds for everything.

    Raises:
        TooManyLookups: of this asker, at once.
        EgressRefused: the URL or a redirect leads where nobody may go, from https back to http, or on and on.
        TimeoutError: not within `timeout`.
        httpx2.HTTPError: no connection, or an answer that is no HTTP or cannot be unpacked.
    """
    here = _checked(url.strip(), policy)
    with asking_for(asker):
        async with asyncio.timeout(timeout):
            return await _followed(client, policy, here, max_bytes, max_redirects)


async def _followed(
    client: httpx2.AsyncClient, policy: EgressPolicy, here: str, max_bytes: int, max_redirects: int
) -> Fetched:
    for _ in range(max_redirects + 1):
        async with _answer(client, here) as response:
            location = response.headers.get("location") if response.status_code in _REDIRECTS else None
            if location is None:
                return await _read(response, here, max_bytes)
        here = _next(here, location, policy)
    raise EgressRefused("The address redirects too often.", code="too_many_redirects")


@contextlib.asynccontextmanager
async def _answer(client: httpx2.AsyncClient, url: str) -> AsyncIterator[httpx2.Response]:
    try:
        # Only what stands in _HEADERS: the client's own headers are not meant for strangers.
        request = httpx2.Request("GET", url, headers=_HEADERS)
    except (httpx2.InvalidURL, UnicodeError):
        raise EgressRefused("The URL cannot be read.") from None
    response = await client.send(request, stream=True, auth=None, follow_redirects=False)
    try:
        yield response
    finally:
        await response.aclose()


def _next(here: str, location: str, policy: EgressPolicy) -> str:
    location = location.strip().replace(" ", "%20")
    # A relative reference with a scheme, as `https:///x`, is a trick to `urljoin` and nothing to `check_url`.
    whole = location if _SCHEME.match(location) else _joined(here, location)
    url = _checked(whole, policy)
    if here.startswith("https:") and not url.startswith("https:"):
        raise EgressRefused("The address redirects from https to http.")
    return url


def _checked(url: str, policy: EgressPolicy) -> str:
    """Without the fragment, which is not sent."""
    return check_url(url.partition("#")[0], policy)


def _joined(here: str, location: str) -> str:
    try:
        return urljoin(here, location)
    except ValueError:  # a bracket that is not closed
        raise EgressRefused("The address redirects to what is no URL.") from None


async def _read(response: httpx2.Response, url: str, max_bytes: int) -> Fetched:
    content_type = response.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()[:MAX_TYPE_CHARS]
    text, is_cut = None, False
    if response.is_success and is_text(kind):
        text, is_cut = await read_text(response, content_type, max_bytes)
    return Fetched(
        url=url,
        status=response.status_code,
        content_type=kind,
        text=text,
        is_cut=is_cut,
        retry_after=retry_after_of(response.headers),
    )
