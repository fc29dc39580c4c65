"""Names in Redis. They hold ids only, and every key expires by itself."""

from uuid import UUID

PREFIX = "retinue"


def run_key(tenant_id: UUID, run_id: UUID) -> str:
    """The stream of a run's newest events."""
    return f"{PREFIX}:{tenant_id}:run:{run_id}"


def wake_key(process: str) -> str:
    """The stream that a process writes to in order to wake its own reader."""
    return f"{PREFIX}:wake:{process}"


def signal_channel(database: int) -> str:
    """Channels are common to all databases of a server, so the name has to tell them apart."""
    return f"{PREFIX}:{database}:signals"
