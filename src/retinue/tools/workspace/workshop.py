"""What the tools of the workspace share."""

import asyncio
import shutil
from typing import Literal

import msgspec

from retinue.domain.errors import ToolError
from retinue.domain.tools import Effect, ToolErrorKind
from retinue.tools.base import Caller
from retinue.tools.workspace import sudo
from retinue.tools.workspace.confinement import Confinement, Reach, Reaches
from retinue.tools.workspace.grounds import Grounds
from retinue.tools.workspace.jobs import Job, Limits, Outcome, Prompt
from retinue.tools.workspace.processes import Processes
from retinue.tools.workspace.settings import WorkspaceSettings

NO_HOME = "/nonexistent"


class Workshop:
    """The ground, the processes and the limits. Keeps nothing about tenants but how many processes each has."""

    def __init__(self, settings: WorkspaceSettings, confinement: Confinement) -> None:
        self.settings = settings
        self.confinement = confinement
        self.grounds = Grounds(settings)
        self.reaches = Reaches(settings, self.grounds)
        self.limits = Limits(seconds=settings.seconds, memory_bytes=settings.memory_bytes)
        self._processes = Processes()

    def environment(self, home: str, effect: Effect = Effect.READ) -> dict[str, str]:
        """All that a program finds in its environment, but for the TMPDIR that a confined one gets.

        What only reads has no home: it would do what the settings say that a tenant has put there (`.dpkg.cfg`,
        `.rpmmacros`), and nobody has to allow it.
        """
        own = NO_HOME if effect is Effect.READ else home
        return {"PATH": self.settings.path, "HOME": own, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}

    def program(self, name: str, home: str) -> str:
        """The file of a program. Looks at the file system.

        Raises: ToolError: `program_not_found`.
        """
        asked = f"{home}/{name}" if "/" in name and not name.startswith("/") else name
        found = shutil.which(asked, path=self.settings.path)
        if found is None:
            detail = "There is no program of that name on this server."
            raise ToolError(detail, kind=ToolErrorKind.VALIDATION, code="program_not_found", took_effect=False)
        return found

    async def look(
        self,
        kind: Literal["read", "list"],
        caller: Caller,
        *,
        path: str,
        max_bytes: int,
        offset: int = 0,
        limit: int = 0,
    ) -> Job:
        """A look at one place, by a process that can open nothing else. Raises: ToolError."""
        home = await asyncio.to_thread(self.grounds.make_home, caller.tenant_id)
        return Job(
            kind=kind,
            home=home,
            limits=self.limits,
            # Its descriptor is open before it is confined.
            reach=Reach() if self.confinement.is_tight else None,
            environment=self.environment(home),
            path=path,
            offset=offset,
            limit=limit,
            max_bytes=max_bytes,
        )

    async def carry_out(self, job: Job, caller: Caller, *, room: int, prompt: Prompt | None = None) -> Outcome:
        """See `Processes.carry_out`. With a prompt, sudo is tried out first.

        Raises: ToolError, PasswordRefused.
        """
        if prompt is not None:
            job = await self._tried(job, caller, prompt)
        return await self._processes.carry_out(job, caller.tenant_id, room=room, prompt=prompt)

    async def _tried(self, job: Job, caller: Caller, prompt: Prompt) -> Job:
        """The job with the time that is left for it."""
        trial = msgspec.structs.replace(prompt, is_trial=True)
        outcome = await self._processes.carry_out(sudo.trial(job), caller.tenant_id, room=sudo.ROOM, prompt=trial)
        sudo.check(outcome, seconds=job.limits.seconds)
        left = max(job.limits.seconds - outcome.duration_ms / 1_000, 0.1)
        return msgspec.structs.replace(job, limits=msgspec.structs.replace(job.limits, seconds=left))
