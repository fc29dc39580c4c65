"""How the server itself behaves: its log, its streams, its readiness and what it throws away."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from retinue.settings.sections.base import Hours, Seconds, Section


class Log(Section):
    """What the server writes about its own work."""

    format: Literal["console", "json"] = Field(default="console", description="console for people, json for machines.")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe lines that are written."
    )


class Metrics(Section):
    """What Prometheus can read, without any key, on a port of its own."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address of that port.")
    port: NonNegativeInt = Field(
        default=0,
        le=65535,
        description="Port on which GET /metrics is answered; 0 for none. Of several workers the second has the next "
        "port, and so on.",
    )


class Stream(Section):
    """How answers are sent to clients."""

    ping_seconds: Seconds = Field(
        default=15.0, description="Seconds of silence after which a comment keeps a stream's connection alive."
    )
    send_timeout_seconds: Seconds = Field(
        default=30.0, description="Seconds that a client may refuse to take bytes before its stream is broken off."
    )
    max_chunk_bytes: PositiveInt = Field(
        default=65_536, description="Waiting events are sent together, up to about this many bytes at once."
    )
    retry_ms: PositiveInt = Field(
        default=1000,
        description="Milliseconds that a client is asked to wait before it takes up a stream again that moved away.",
    )


class Retention(Section):
    """How long records are kept that serve their purpose for a while only. Messages, tool logs and usage stay."""

    event_hours: Hours = Field(
        default=720.0,
        description="Hours after a run's end in which its events can be replayed one by one; later its stream begins "
        "with a snapshot.",
    )
    idempotency_hours: Hours = Field(
        default=24.0, description="Hours in which a repeated Idempotency-Key is answered as the first time."
    )
    sweep_seconds: Seconds = Field(default=60.0, description="Seconds between two searches for what has grown old.")

    @property
    def event_seconds(self) -> float:
        return self.event_hours * 3600

    @property
    def idempotency_seconds(self) -> float:
        return self.idempotency_hours * 3600


class Usage(Section):
    """What was used, summed up in advance, so that telling it costs little. It is told exactly at any time."""

    sum_seconds: Seconds = Field(
        default=10.0, description="Seconds between two times that model calls which have ended are added to the sums."
    )


class Readiness(Section):
    """From when on this process asks a balancer for no more requests. It goes on to serve those that come anyway."""

    max_load: Annotated[FiniteFloat, Field(gt=0, le=1)] = Field(
        default=1.0, description="Share of runs.max_active from which the process is not ready."
    )
    max_lag_ms: PositiveInt = Field(
        default=500, description="Milliseconds that the event loop may be late before the process is not ready."
    )
