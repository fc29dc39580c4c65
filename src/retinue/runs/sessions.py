"""When a conversation takes messages: its session has not expired, and they do not come too fast."""

from math import ceil

from retinue.db.repositories.conversations import Session
from retinue.db.session import Unit
from retinue.domain.conversations import Conversation
from retinue.domain.errors import Conflict, RateLimited
from retinue.domain.policy import SessionPolicy


class Sessions:
    """Both are decided in the database, by its clock, so that all replicas together keep them. A message that is
    refused counts for neither; one that was taken counts, also if it is withdrawn later.
    """

    def __init__(self, policy: SessionPolicy) -> None:
        self._policy = policy
        self.ttl_seconds = policy.ttl_seconds

    async def check(self, unit: Unit, conversation: Conversation) -> Session:
        """The session, which takes one more message. The caller holds the conversation's lock.

        Raises:
            Conflict: `session_expired`.
            RateLimited: with the seconds to wait in its header.
        """
        session = await unit.conversations.session(conversation.id, self.ttl_seconds)
        await self.require(unit, conversation, session)
        return session

    async def require(self, unit: Unit, conversation: Conversation, session: Session) -> None:
        """Raises: as `check`."""
        if session.has_expired and conversation.message_count > 0:
            detail = "This conversation's session has expired. Set its status to active to reopen it."
            raise Conflict(detail, code="session_expired")
        # Fewer messages than that cannot be too many, and most conversations are short.
        if 0 < self._policy.max_messages <= conversation.message_count:
            await self._refuse_if_too_fast(unit, conversation)

    async def _refuse_if_too_fast(self, unit: Unit, conversation: Conversation) -> None:
        policy = self._policy
        count, age = await unit.messages.count_recent(conversation.id, policy.window_seconds)
        if count < policy.max_messages:
            return
        raise RateLimited(
            f"A conversation takes {policy.max_messages} messages in {policy.window_seconds:g} seconds.",
            headers={"Retry-After": str(max(ceil(policy.window_seconds - age), 1))},
        )
