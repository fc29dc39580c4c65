"""`messages`: the default protocol of a conversation's stream."""

from retinue.protocols.messages.frames import WAITING
from retinue.protocols.messages.protocol import MessagesProtocol

__all__ = ["WAITING", "MessagesProtocol"]
