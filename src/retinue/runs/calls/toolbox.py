"""What one employee can use in one run, and what a call of it would do."""

import asyncio
from typing import Any

import msgspec
import structlog
import tenacity

from retinue.domain.employees import Employee
from retinue.domain.errors import ToolError, Unavailable
from retinue.domain.model_io import ToolSpec
from retinue.domain.policy import RunLimits
from retinue.domain.text import clean_value
from retinue.domain.tools import Assessment, Effect, JournalEntry, Risk, ToolErrorKind
from retinue.runs.calls.gate import Allow, Ruling, judge
from retinue.runs.outcome import RequestedCall
from retinue.runs.trying import tried
from retinue.tools.base import Caller, Tool
from retinue.tools.registry import ToolRegistry

_log = structlog.get_logger(__name__)

ASSESS_SECONDS = 10.0
"""For one look."""
ASSESS_TRIES = 4
_HARMLESS = Assessment(effect=Effect.READ, risk=Risk.NONE)


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A call that can be made, and the gate's ruling on it."""

    tool: Tool[Any]
    arguments: Any
    assessment: Assessment
    ruling: Ruling

    @property
    def is_free(self) -> bool:
        """Nobody has to be asked."""
        return isinstance(self.ruling, Allow)

    @property
    def is_plain_read(self) -> bool:
        """Nothing has to be written down before it is made, and others of its kind may run beside it."""
        return self.assessment.effect is Effect.READ and self.assessment.command is None


class Fault(msgspec.Struct, frozen=True):
    """A call that cannot be made; the model is told why."""

    code: str
    detail: str
    is_of_rest: bool = False
    """Whether the same holds for the calls after it."""


class Toolbox:
    """The tools of a registry that an employee may use."""

    __slots__ = ("_employee", "_limits", "_registry", "caller")

    def __init__(self, registry: ToolRegistry, employee: Employee, caller: Caller, limits: RunLimits) -> None:
        self._registry = registry
        self._employee = employee
        self._limits = limits
        self.caller = caller

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return self._registry.specs(self._employee.tools)

    def find(self, name: str) -> Tool[Any] | None:
        return self._registry.find(name) if name in self._employee.tools else None

    async def look(self, name: str, args: Any) -> Prepared | Fault:
        """What a call would do as things are now. Changes nothing."""
        tool = self.find(name)
        if tool is None:
            known = ", ".join(spec.name for spec in self.specs) or "none"
            return Fault("tool_unavailable", f"This employee has no tool of that name. Its tools: {known}.")
        try:
            arguments = tool.read(args)
            assessment = await self._assessed(tool, arguments)
        except ToolError as error:
            return Fault(error.problem_code, error.detail)
        except Exception:
            _log.exception("tool_not_assessed", tool=name, run_id=str(self.caller.run_id))
            return Fault("tool_failed", "The tool could not look at these arguments.")
        return Prepared(
            tool=tool,
            arguments=arguments,
            assessment=assessment,
            ruling=judge(assessment, self._employee.permission),
        )

    async def _assessed(self, tool: Tool[Any], arguments: Any) -> Assessment:
        """A moment's outage must not cost a call that a person has allowed: what may pass is tried again."""

        async def assess() -> Assessment:
            async with asyncio.timeout(ASSESS_SECONDS):
                return await tool.assess(arguments, self.caller)

        return await tried(assess, _may_pass, _assess_again)

    async def entry(self, call: RequestedCall, *, step: int, position: int) -> JournalEntry:
        """A model's wish as it is written into the journal."""
        tool = self.find(call.name)
        look = await self.look(call.name, call.args)
        assessment = look.assessment if isinstance(look, Prepared) else _HARMLESS
        return JournalEntry(
            run_id=self.caller.run_id,
            position=position,
            step=step,
            call_id=call.id,
            name=call.name,
            version=tool.version if tool else "",
            args=clean_value(call.args),  # what is stored, is approved and runs must be one and the same
            effect=assessment.effect,
            risk=assessment.risk,
        )


def _assess_again() -> tenacity.AsyncRetrying:
    return tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(ASSESS_TRIES), wait=tenacity.wait_exponential_jitter(multiplier=0.5, max=4.0)
    )


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Unavailable) or (isinstance(error, ToolError) and error.kind is ToolErrorKind.TRANSIENT)
