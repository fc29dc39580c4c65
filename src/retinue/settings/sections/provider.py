"""How model providers are asked."""

from pydantic import Field, PositiveInt

from retinue.domain.policy import ByteCaps, Deadlines, RetryPolicy
from retinue.settings.sections.base import Seconds, Section

_DEADLINES, _RETRY, _CAPS = Deadlines(), RetryPolicy(), ByteCaps()


class Provider(Section):
    """How long and how often a model provider is asked, and how much it may send."""

    connect_seconds: Seconds = Field(default=_DEADLINES.connect, description="Seconds to open a connection.")
    first_token_seconds: Seconds = Field(
        default=_DEADLINES.first_token, description="Seconds from the request to the first piece of the answer."
    )
    between_tokens_seconds: Seconds = Field(
        default=_DEADLINES.between_tokens, description="Seconds of silence between two pieces of an answer."
    )
    total_seconds: Seconds = Field(default=_DEADLINES.total, description="Seconds for one model call as a whole.")
    max_tries: PositiveInt = Field(
        default=_RETRY.max_tries, description="Tries of one model call; only before its first piece has arrived."
    )
    base_delay_seconds: Seconds = Field(
        default=_RETRY.base_delay,
        description="Seconds before the second try; doubled, with jitter, for each further one.",
    )
    max_delay_seconds: Seconds = Field(
        default=_RETRY.max_delay, description="Longest pause between two tries, in seconds."
    )
    max_retry_after_seconds: Seconds = Field(
        default=_RETRY.max_retry_after,
        description="A provider that asks for a longer pause than this many seconds is not asked again.",
    )
    max_line_bytes: PositiveInt = Field(
        default=_CAPS.line, description="Longest line of a provider's stream, in bytes; beyond it the call is cut off."
    )
    max_turn_bytes: PositiveInt = Field(
        default=_CAPS.turn, description="Bytes of one provider stream as a whole; beyond them the call is cut off."
    )

    def deadlines(self) -> Deadlines:
        return Deadlines(
            connect=self.connect_seconds,
            first_token=self.first_token_seconds,
            between_tokens=self.between_tokens_seconds,
            total=self.total_seconds,
        )

    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(
            max_tries=self.max_tries,
            base_delay=self.base_delay_seconds,
            max_delay=self.max_delay_seconds,
            max_retry_after=self.max_retry_after_seconds,
        )

    def byte_caps(self) -> ByteCaps:
        return ByteCaps(line=self.max_line_bytes, turn=self.max_turn_bytes)
