"""AI employees for every tenant: durable, streamed, auditable runs over HTTP."""

__version__ = "0.1.0"
