"""What messages say."""

from retinue.domain.messages import Message, Utterance


def utterances(*messages: Message) -> list[Utterance]:
    """What of them the model is told."""
    return [Utterance(message.role, message.content, message.reasoning) for message in messages]
