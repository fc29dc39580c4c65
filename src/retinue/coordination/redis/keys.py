"""Names in Redis. They hold ids only, and every key expires by itself."""

from hashlib import sha256
from uuid import UUID

from retinue.domain.limits import Bucket

PREFIX = "retinue"
PROCESSES = f"{PREFIX}:processes"
"""Which processes were there a moment ago."""


def keys_of(tenant_id: UUID) -> str:
    """The pattern of all that is a tenant's: whatever is, begins like this."""
    return f"{PREFIX}:{tenant_id}:*"


def run_key(tenant_id: UUID, run_id: UUID) -> str:
    """The stream of a run's newest events."""
    return f"{PREFIX}:{tenant_id}:run:{run_id}"


def wake_key(process: str) -> str:
    """The stream that a process writes to in order to wake its own reader."""
    return f"{PREFIX}:wake:{process}"


def signal_channel(database: int) -> str:
    """Channels are common to all databases of a server, so the name has to tell them apart."""
    return f"{PREFIX}:{database}:signals"


def rate_key(bucket: Bucket) -> str:
    """A bucket. What a client has named itself does not stand in it as it is."""
    name = f":{sha256(bucket.name.encode()).hexdigest()[:32]}" if bucket.name else ""
    return f"{PREFIX}:{bucket.tenant_id}:rate:{bucket.metered}:{bucket.party}{name}"
