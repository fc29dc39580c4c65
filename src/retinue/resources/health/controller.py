"""Whether this process lives, and whether it should get requests."""

from litestar import Controller, Response, get

from retinue import __version__
from retinue.resources.health.schemas import Health, Readiness, ReadinessCheck


class HealthController(Controller):
    path = "/health"
    tags = ("health",)
    check: ReadinessCheck

    @get(public=True, sync_to_thread=False)
    def read_health(self) -> Health:
        """Is the process alive?"""
        return Health(status="ok", version=__version__)

    @get("/ready", public=True, otherwise={503: Readiness})
    async def read_readiness(self) -> Response[Readiness]:
        """Should a balancer send requests here?

        Answers 503 with the reasons, in the same shape, while it should not.
        """
        reasons, degraded = tuple(await self.check.reasons()), tuple(self.check.degraded())
        if reasons:
            return Response(Readiness(status="not_ready", reasons=reasons, degraded=degraded), status_code=503)
        return Response(Readiness(status="ready", degraded=degraded))
