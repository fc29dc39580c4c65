"""The SDK's client, as far as ours is quicker."""

from typing import Any, ClassVar

from anthropic import AsyncAnthropic, AsyncStream
from anthropic._models import FinalRequestOptions

from retinue.providers.patterned import Patterned


class MessagesClient(Patterned, AsyncAnthropic):
    call: ClassVar[Any] = FinalRequestOptions.construct(method="post", url="/v1/messages")
    stream_class: ClassVar[Any] = AsyncStream[Any]
