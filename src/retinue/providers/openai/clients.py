"""The SDK's clients, as far as ours are quicker."""

from typing import Any, ClassVar

from openai import AsyncAzureOpenAI, AsyncOpenAI, AsyncStream
from openai._models import FinalRequestOptions

from retinue.providers.patterned import Patterned


class ChatClient(Patterned, AsyncOpenAI):
    call: ClassVar[Any] = FinalRequestOptions.construct(method="post", url="/chat/completions")
    stream_class: ClassVar[Any] = AsyncStream[Any]


class AzureChatClient(Patterned, AsyncAzureOpenAI):
    call: ClassVar[Any] = ChatClient.call
    stream_class: ClassVar[Any] = ChatClient.stream_class
