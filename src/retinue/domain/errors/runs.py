"""What ends a run, or a stream of it."""

from retinue.domain.errors.base import RetinueError


class RunError(RetinueError):
    """A run ended for a reason of our own."""


class ProcessLost(RunError):
    code, title, retryable = "process_lost", "The process that ran this answer is gone", True


class RunTimeout(RunError):
    code, title, status, retryable = "run_timeout", "The answer took longer than allowed", 504, True


class TokensUsedUp(RunError):
    """A run has waited for tokens of its tenant, key or user, and none came."""

    code, title, status, retryable = "token_rate_limited", "Too many tokens per minute", 429, True


class StepLimitReached(RunError):
    code, title = "step_limit_reached", "The employee needed more steps than allowed"


class AnswerTooLong(RunError):
    code, title = "answer_too_long", "The answer grew beyond the limit"


class StorageFailed(RunError):
    code, title, retryable = "storage_failed", "The answer could not be stored", True


class StreamBroken(RunError):
    """Raised to a follower when the run's end could not be stored: its stream must break off, not end."""

    code, title, retryable = "stream_broken", "The stream broke off", True


class StreamMoved(StreamBroken):
    """Raised to a follower when this process stops and the run goes on, or will go on, in another one."""

    code, title, status = "stream_moved", "The stream goes on in another process", 503


class AccessEnded(StreamBroken):
    """Raised to a follower whose credentials were revoked or have expired. The run goes on."""

    code, title, status, retryable = "access_ended", "The credentials of this stream have ended", 401, False


class SecretUnreadable(RunError):
    """A sealed secret was altered, moved, or is of another format. Says nothing of the secret."""

    code, title = "secret_unreadable", "A stored secret cannot be read"


class UnknownMasterKey(SecretUnreadable):
    """The secret was sealed under a master key that this server was not given."""

    code, title = "unknown_master_key", "A stored secret needs a master key that this server does not have"


class InternalError(RunError):
    code, title = "internal_error", "Something went wrong inside Retinue"


class FailedAnswer(RetinueError):
    """A run that failed, told again to whoever waited for its answer: same code, title, status and detail."""

    def __init__(self, *, code: str, title: str, status: int, detail: str, retryable: bool) -> None:
        super().__init__(detail, code=code)
        self.title = title
        self.status = status
        self.retryable = retryable
