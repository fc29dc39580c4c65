"""The tool that runs commands."""

import secrets
from typing import Any, ClassVar

import msgspec

from retinue.domain.errors import ToolError
from retinue.domain.tools import Assessment, Effect, Risk, ToolErrorKind
from retinue.tools.base import Caller, Invocation, Tool
from retinue.tools.workspace import failures
from retinue.tools.workspace.arguments import CommandArguments
from retinue.tools.workspace.aside import aside
from retinue.tools.workspace.bounds import Bounds, bounds_of
from retinue.tools.workspace.commands.classify import classify
from retinue.tools.workspace.commands.verdict import Verdict
from retinue.tools.workspace.jobs import Job, Outcome, Prompt
from retinue.tools.workspace.workshop import Workshop

_NO_SUDO = "Commands with the rights of other users are switched off on this server."
_NO_NETWORK = "Commands cannot use the network on this server."
_NOT_CONFINED = "This server's kernel cannot keep such a command in the workspace."
_VAST = "There is too much beneath to be sure that it holds no secrets."
_FREE = "Nothing keeps it in the workspace."


class _Look(msgspec.Struct, frozen=True):
    verdict: Verdict
    bounds: Bounds
    refusal: str | None
    is_free: bool = False
    """It may do more than its words say, and the operator lets that be."""


class ShellExecSafe(Tool[CommandArguments]):
    name: ClassVar[str] = "shell_exec_safe"
    description: ClassVar[str] = (
        "Run a command in the workspace, without a terminal and without input. Plain read-only commands run at once; "
        "others wait until a person allows them. Give one plain command without pipes or redirections where one will "
        "do."
    )
    arguments = CommandArguments
    effect: ClassVar[Effect] = Effect.WRITE
    risk: ClassVar[Risk] = Risk.HIGH
    touches: ClassVar[str] = "the tenant's workspace, and with an approval what lies outside of it"
    timeout: ClassVar[float] = 300.0

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def assess(self, arguments: CommandArguments, caller: Caller) -> Assessment:
        look = await aside(self._look, arguments.command, caller)
        return _assessment(arguments, look)

    def question(self, arguments: CommandArguments) -> str:
        return f"Allow {self.name} to run {arguments.command!r}?"

    async def run(self, arguments: CommandArguments, invocation: Invocation) -> Any:
        look = await aside(self._look, arguments.command, invocation.caller)
        if look.refusal or look.bounds.scope != invocation.scope:
            raise failures.path_changed()
        prompt = _prompt(look.verdict, invocation)
        job = await aside(self._job, look, invocation.caller, prompt)
        outcome = await self._workshop.carry_out(
            job, invocation.caller, room=self._workshop.settings.output_bytes, prompt=prompt
        )
        failures.check(outcome, seconds=job.limits.seconds)
        return _result(outcome)

    def _look(self, command: str, caller: Caller) -> _Look:
        """What a command would do as things are now. Raises: ToolError."""
        verdict = classify(command)
        refusal = verdict.refusal or self._refusal(verdict)
        if refusal:
            return _Look(verdict, Bounds(), refusal)
        bounds = bounds_of(verdict, caller.tenant_id, self._workshop.grounds)
        name = "sudo" if verdict.needs_password else verdict.argv[0]
        # Whether there is a program outside of the workspace is not told before a person has allowed to look.
        if bounds.refusal is None and ("/" not in name or not bounds.scope):
            self._workshop.program(name, self._workshop.grounds.home(caller.tenant_id))
        is_free = verdict.is_open_ended and not self._workshop.confinement.is_tight
        return _Look(verdict, bounds, bounds.refusal, is_free)

    def _refusal(self, verdict: Verdict) -> str | None:
        settings = self._workshop.settings
        if verdict.needs_password:
            return None if settings.sudo else _NO_SUDO
        if verdict.action == "network" and not settings.network:
            return _NO_NETWORK
        if verdict.is_open_ended and not self._workshop.confinement.is_tight and not settings.unconfined:
            return _NOT_CONFINED
        return None

    def _job(self, look: _Look, caller: Caller, prompt: Prompt | None) -> Job:
        workshop, verdict = self._workshop, look.verdict
        home = workshop.grounds.make_home(caller.tenant_id)
        argv = verdict.argv if prompt is None else ("sudo", "-S", "-k", "-p", prompt.marker, *verdict.argv)
        reach = None
        if prompt is None and workshop.confinement.is_tight:
            reach = workshop.reaches.of_command(
                home,
                may_write=verdict.effect is not Effect.READ,
                sees_machine=verdict.action == "system_info",
                reads=look.bounds.reads,
                writes=look.bounds.writes,
            )
        return Job(
            kind="run",
            home=home,
            limits=workshop.limits,
            reach=reach,
            environment=workshop.environment(home, verdict.effect),
            program=workshop.program(argv[0], home),
            argv=argv,
            reads_input=prompt is not None,
            is_privileged=prompt is not None,
        )


def _assessment(arguments: CommandArguments, look: _Look) -> Assessment:
    verdict, scope = look.verdict, look.bounds.scope
    is_high = look.is_free or look.bounds.is_vast
    return Assessment(
        effect=verdict.effect,
        risk=arguments.risk(Risk.HIGH if is_high else verdict.risk),
        reason=_reason(look),
        scope=scope,
        action_type=verdict.action,
        command=arguments.command,
        refusal=look.refusal,
        needs_password=verdict.needs_password,
    )


def _reason(look: _Look) -> str:
    said = [f"It leaves the workspace: {look.bounds.scope}." if look.bounds.scope else look.verdict.reason]
    said += [_VAST] if look.bounds.is_vast else []
    said += [_FREE] if look.is_free else []
    return " ".join(said)


def _prompt(verdict: Verdict, invocation: Invocation) -> Prompt | None:
    if not verdict.needs_password:
        return None
    if invocation.password is None:
        detail = "This command needs a password."
        raise ToolError(detail, kind=ToolErrorKind.AUTH, code="password_missing", took_effect=False)
    return Prompt(f"[{secrets.token_hex(16)}]", invocation.password)


def _result(outcome: Outcome) -> dict[str, Any]:
    result = {
        "exit_code": outcome.exit_code,
        "stdout": outcome.stdout.decode("utf-8", "replace"),
        "stderr": outcome.stderr.decode("utf-8", "replace"),
        "is_cut": outcome.is_cut,
        "duration_ms": outcome.duration_ms,
    }
    return result if outcome.end == "ended" else {**result, "stopped": outcome.end}
