"""What vendors' adapters share when they judge a tenant's configuration and when they try it."""

import contextlib
import re
from collections.abc import Iterable
from functools import lru_cache

from retinue.domain.errors import EgressRefused, FieldError, InvalidRequest
from retinue.domain.model_io import ModelRequest, ReasoningPiece, TextPiece
from retinue.egress import EgressPolicy, check_url, origin_of
from retinue.providers.base import Provider, ProviderConfig

KEY_FIELD = "/llm_api_key"
MODEL_FIELD = "/llm_model"
URL_FIELD = "/llm_base_url"
PROVIDER_FIELD = "/llm_provider"
OPTIONS_FIELD = "/options"
_KEY = re.compile(r"[!-~]+")


def refuse(field: str, detail: str, code: str | None = None) -> InvalidRequest:
    """The error for one field of a configuration."""
    return InvalidRequest(detail, code=code, errors=(FieldError(pointer=field, detail=detail),))


def check_model(config: ProviderConfig) -> None:
    """Raises: InvalidRequest: the model's name is empty or has control characters."""
    if not config.model.strip() or not config.model.isprintable():
        raise refuse(MODEL_FIELD, "The model's name must not be empty.")


def check_key(config: ProviderConfig, *, is_needed: bool) -> None:
    """Raises: InvalidRequest: a key is missing, or could not be put into a header."""
    if not config.api_key:
        if is_needed:
            raise refuse(KEY_FIELD, "This provider needs an API key.", "api_key_missing")
    elif not _KEY.fullmatch(config.api_key):
        raise refuse(KEY_FIELD, "An API key consists of printable ASCII characters without spaces.")


def check_base_url(config: ProviderConfig, policy: EgressPolicy) -> str | None:
    """The base URL in normal form, without a slash at its end.

    Raises:
        EgressRefused: it is malformed, or leads where Retinue must not connect.
    """
    return None if config.base_url is None else _checked(config.base_url, policy)


@lru_cache(maxsize=1024)
def _checked(base_url: str, policy: EgressPolicy) -> str:
    """Depends on nothing else, and is asked by every run."""
    try:
        url = check_url(base_url, policy)
        if "?" in url:
            raise EgressRefused("A base URL has no query.")
    except EgressRefused as error:
        field = FieldError(pointer=URL_FIELD, detail=error.detail)
        raise EgressRefused(error.detail, errors=(field,)) from None
    return url.rstrip("/")


def check_options(config: ProviderConfig, understood: Iterable[str]) -> None:
    """Raises: InvalidRequest: an option is set that means nothing to this provider."""
    known = frozenset(understood)
    for name in config.options.__struct_fields__:
        if getattr(config.options, name) is not None and name not in known:
            raise refuse(f"{OPTIONS_FIELD}/{name}", f"The option {name} means nothing to {config.provider}.")


def has_origin(url: str | None, *origins: str) -> bool:
    """Whether a base URL leads to one of the origins; null stands for the vendor's own."""
    return url is None or origin_of(url) in origins


async def probe(provider: Provider, request: ModelRequest) -> None:
    """Ask, and hang up at the beginning of the answer.

    Raises:
        ProviderError: there is none.
    """
    async with contextlib.aclosing(provider.stream(request)) as batches:
        async for events in batches:
            if any(isinstance(event, TextPiece | ReasoningPiece) for event in events):
                return
