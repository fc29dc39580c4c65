"""What tenants, their keys and their users may ask for, where the operator has chosen nothing else for a tenant."""

from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, NonNegativeInt

from retinue.domain.limits import Bounds, Limits
from retinue.settings.sections.base import Section


def _comma_list(value: Any) -> Any:
    """The environment knows no lists: commas separate."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("a proxy is an address or a network such as 10.0.0.0/8") from None


class Rates(Section):
    """What tenants may ask for, unless the operator chooses otherwise for one. 0 is without a bound everywhere."""

    tenant_requests_per_minute: NonNegativeInt = Field(default=6000, description="Requests of one tenant.")
    tenant_tokens_per_minute: NonNegativeInt = Field(
        default=0, description="Tokens, of input and output, of all model calls of one tenant."
    )
    tenant_concurrent_runs: NonNegativeInt = Field(
        default=0, description="Answers of one tenant that are being written at the same time, in all processes."
    )
    key_requests_per_minute: NonNegativeInt = Field(
        default=0, description="Requests with one key, and with the user tokens that it has made."
    )
    key_tokens_per_minute: NonNegativeInt = Field(
        default=0, description="Tokens of answers that were asked for with one key."
    )
    key_concurrent_runs: NonNegativeInt = Field(
        default=0, description="Answers that were asked for with one key and are being written at the same time."
    )
    user_requests_per_minute: NonNegativeInt = Field(
        default=300,
        description="Requests with the tokens of one user; what a tenant's key asks for users is not counted.",
    )
    user_tokens_per_minute: NonNegativeInt = Field(
        default=0, description="Tokens of answers in the conversations of one user."
    )
    user_concurrent_runs: NonNegativeInt = Field(
        default=0, description="Answers in the conversations of one user that are being written at the same time."
    )
    token_wait_seconds: Annotated[FiniteFloat, Field(ge=0)] = Field(
        default=60.0,
        description="Seconds that an answer which has begun waits for tokens before it fails as token_rate_limited.",
    )
    wrong_credentials_per_minute: NonNegativeInt = Field(
        default=30,
        description="Wrong credentials that one address may send to one process; further ones get 429 unseen.",
    )
    trusted_proxies: Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_comma_list)] = (
        Field(
            default=(),
            description="Addresses or networks of proxies whose X-Forwarded-For says where wrong credentials come "
            "from; otherwise it is the connection's own address.",
        )
    )

    def limits(self) -> Limits:
        """The bounds of a tenant for which nothing was chosen."""
        return Limits(
            tenant=Bounds(
                requests_per_minute=self.tenant_requests_per_minute,
                tokens_per_minute=self.tenant_tokens_per_minute,
                concurrent_runs=self.tenant_concurrent_runs,
            ),
            key=Bounds(
                requests_per_minute=self.key_requests_per_minute,
                tokens_per_minute=self.key_tokens_per_minute,
                concurrent_runs=self.key_concurrent_runs,
            ),
            user=Bounds(
                requests_per_minute=self.user_requests_per_minute,
                tokens_per_minute=self.user_tokens_per_minute,
                concurrent_runs=self.user_concurrent_runs,
            ),
        )
