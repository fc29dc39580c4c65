"""Where a process that serves writes."""

from retinue.observability.crashes import report_crashes
from retinue.observability.logging import configure
from retinue.observability.redaction import Redactor
from retinue.settings import Settings


def log_to_stderr(settings: Settings) -> Redactor:
    """Set the log up; the redactor knows the operator's own secrets and keeps them for good."""
    redactor = Redactor()
    for secret in settings.secrets():
        redactor.add(secret, pinned=True)
    configure(format=settings.log.format, level=settings.log.level, redactor=redactor)
    report_crashes()
    return redactor
