"""Hypercorn's settings, and what of ours it does not know."""

import logging

from hypercorn.config import Config

from retinue.server.heads import HeadLimits
from retinue.settings import Settings

SHUTDOWN_SECONDS = 5.0
"""For the application to let go of its own connections."""


class ServerConfig(Config):
    head_limits: HeadLimits = HeadLimits()
    connections: int = 4096
    """In one process."""


def config_for(settings: Settings) -> ServerConfig:
    """It names no address: where to listen is the business of `retinue.server.serving`."""
    limits = settings.limits
    config = ServerConfig()
    config.head_limits = HeadLimits(
        target_bytes=limits.target_bytes,
        headers=limits.headers,
        header_bytes=limits.header_bytes,
        seconds=limits.head_seconds,
    )
    config.connections = limits.connections
    config.h11_max_incomplete_size = config.head_limits.total_bytes
    config.bind = []
    config.shutdown_timeout = SHUTDOWN_SECONDS
    config.keep_alive_timeout = limits.idle_seconds
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config
