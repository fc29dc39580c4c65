"""What one model call may still cost, counted while its answer comes."""

from math import ceil
from typing import Literal

import msgspec

from retinue.domain.budgets import Grant
from retinue.domain.model_io import ModelRequest
from retinue.domain.usage import Usage
from retinue.providers.estimate import ASCII_PER_TOKEN, OTHER_PER_TOKEN
from retinue.providers.pricing import Pricing

LEAST_WITH_REASONING = 1025
"""Providers refuse to reason within fewer tokens."""


class Purse:
    """Holds what was granted for a call, and says when the output that came has cost more than that.

    Output is counted as `providers.estimate` counts it, and at least a token for every piece: no provider sends more
    pieces than tokens.
    """

    __slots__ = (
        "_bound",
        "_characters",
        "_grant",
        "_input_tokens",
        "_known_input",
        "_others",
        "_pieces",
        "_pricing",
        "_reported",
        "_request",
        "_spent_on_input",
        "_told",
    )

    def __init__(self, pricing: Pricing, grant: Grant, request: ModelRequest, input_tokens: int) -> None:
        """
        Args:
            input_tokens: of the request, as its quote counted them.
        """
        self._pricing = pricing
        self._grant = grant
        self._request = request
        self._input_tokens = input_tokens
        self._spent_on_input = pricing.most(input_tokens, 0) or 0
        self._told: Usage | None = None
        """What the provider said of the input, and was not counted in yet: most say it when nothing follows."""
        self._known_input: int | None = None
        self._characters = self._others = self._pieces = self._reported = 0
        self._bound = self._output_within()

    @property
    def output_bound(self) -> int | None:
        """Output tokens to ask the provider for at most, if that is less than was meant: what a model thinks to itself
        is not seen to be counted."""
        if self._grant.is_whole or self._allowed is None or self._allowed >= self._request.max_output_tokens:
            return None
        if self._request.reasoning not in {None, "off"} and self._allowed < LEAST_WITH_REASONING:
            return None
        return max(self._allowed, 1)

    @property
    def output_tokens(self) -> int:
        """Of what has come so far."""
        return max(_tokens(self._characters, self._others), self._pieces, self._reported)

    @property
    def is_empty(self) -> bool:
        """Whether what came costs more than was granted."""
        return self._allowed is not None and self.output_tokens > self._allowed

    @property
    def reason(self) -> Literal["budget", "length"]:
        """Why an answer ends that is cut off here. A whole grant bounds its length and nothing else."""
        return "length" if self._grant.is_whole else "budget"

    def take(self, text: str, *, pieces: int) -> bool:
        """Count a text that came in so many pieces, if that leaves it not empty."""
        came, characters = self._pieces + pieces, self._characters + len(text)
        others = self._others if text.isascii() else self._others + _others(text)
        allowed = self._allowed
        if allowed is not None and max(_tokens(characters, others), came, self._reported) > allowed:
            return False
        self._pieces, self._characters, self._others = came, characters, others
        return True

    def count(self, piece: str) -> None:
        """A piece of the answer has come, or of reasoning, or of a tool call's arguments."""
        self._pieces += 1
        self._characters += len(piece)
        self._others += _others(piece)

    def learn(self, usage: Usage) -> None:
        """The provider has said what it counted so far, which is better known than what was estimated."""
        self._reported = max(self._reported, usage.output_tokens or 0)
        if usage.input_tokens is not None and usage.input_tokens != self._known_input:
            self._count_in()  # the new one may have no price
            self._known_input, self._told = usage.input_tokens, usage

    @property
    def _allowed(self) -> int | None:
        """Output tokens that can be had; null: any number."""
        self._count_in()
        return self._bound

    def _count_in(self) -> None:
        if (told := self._told) is None:
            return
        self._told = None
        plain = msgspec.structs.replace(told, output_tokens=0, reasoning_tokens=None)
        if told.input_tokens is not None and (cost := self._pricing.cost(plain)) is not None:
            self._input_tokens, self._spent_on_input = told.input_tokens, cost.micros
            self._bound = self._output_within()

    def _output_within(self) -> int | None:
        return self._pricing.output_within(self._grant.micros - self._spent_on_input, self._input_tokens)


def _others(text: str) -> int:
    """Characters beyond ASCII."""
    return 0 if text.isascii() else len(text) - sum(map(str.isascii, text))


def _tokens(characters: int, others: int) -> int:
    return ceil((characters - others) / ASCII_PER_TOKEN + others / OTHER_PER_TOKEN)
