"""The contract of a tool."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec

from retinue.domain.errors import ToolError
from retinue.domain.model_io import ToolSpec
from retinue.domain.secret import Secret
from retinue.domain.tools import Assessment, Effect, Risk, ToolErrorKind
from retinue.tools.schema import schema_of

A = TypeVar("A", bound=msgspec.Struct)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf a tool works. A tool never reaches beyond this tenant."""

    tenant_id: UUID
    employee_id: UUID
    conversation_id: UUID
    run_id: UUID


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """One call that is really made."""

    caller: Caller
    call_id: str
    idempotency_key: str
    """The same for every try of the call, and of no other. An idempotent tool hands it on."""
    scope: str = ""
    """The scope that the gate, or a person, has allowed: what `assess` said then. The tool may reach that, and what it
    finds to be another scope by now it refuses."""
    password: Secret | None = None
    """Only where `assess` said that one is needed. Never to be stored, logged, echoed or put into a result."""


class Tool(ABC, Generic[A]):
    """One thing that an employee can do. Instances are shared by all tenants and runs and keep nothing about them.

    Guarantees that a tool may rely on: `read` and `assess` come before `run`; `run` is called for arguments that were
    allowed, with what `assess` returned for them; it is cancelled at the end of its time, when the run is cancelled or
    when the process stops. By its effect a call may be made again: a read at any time, an idempotent call under the
    same key, a write never unless a person says so.
    """

    name: ClassVar[str]
    """`^[a-zA-Z0-9_-]{1,64}$`, as all model vendors accept it."""
    description: ClassVar[str]
    """For the model: what the tool does and when to use it."""
    version: ClassVar[str] = "1"
    """Approvals are bound to it: raise it when the tool comes to do something else for the same arguments."""
    arguments: type[A]
    """A frozen Struct that forbids unknown fields. Each field's meaning is a `Meta(description=…)`."""
    effect: ClassVar[Effect] = Effect.WRITE
    """The worst that a call can do; `assess` may find less for a particular one."""
    risk: ClassVar[Risk] = Risk.MEDIUM
    touches: ClassVar[str] = ""
    """What the tool reaches, in words: `orders of the demo shop`, `the public internet`."""
    timeout: ClassVar[float] = 30.0
    """Seconds for one try."""

    @cached_property
    def spec(self) -> ToolSpec:
        """The tool as a model is told of it."""
        return ToolSpec(name=self.name, description=self.description, parameters=schema_of(self.arguments))

    def read(self, args: Any) -> A:
        """Make the arguments of what a model sent.

        Raises:
            ToolError: `invalid_arguments`; the detail tells the model what to mend.
        """
        try:
            return msgspec.convert(args, self.arguments)
        except (msgspec.ValidationError, RecursionError) as error:
            raise ToolError(
                f"These arguments do not fit the tool's schema: {error}",
                kind=ToolErrorKind.VALIDATION,
                code="invalid_arguments",
                took_effect=False,
            ) from None

    async def assess(self, arguments: A, caller: Caller) -> Assessment:  # noqa: ARG002
        """What this call would do. Computed from the arguments and from what they point to, never from what the model
        says about itself. Changes nothing, is quick, and is asked again right before the call is made.
        """
        return Assessment(effect=self.effect, risk=self.risk)

    def question(self, arguments: A) -> str:
        """What a person is asked before the call is made: one sentence that names everything that matters."""
        shown = ", ".join(f"{name}={value!r}" for name, value in msgspec.structs.asdict(arguments).items())
        return f"Allow {self.name}({shown})?"

    @abstractmethod
    async def run(self, arguments: A, invocation: Invocation) -> Any:
        """Do it. Returns any JSON value.

        Raises:
            ToolError: in one of the kinds of the taxonomy. A write or idempotent tool says `took_effect=False` where
                it surely changed nothing; any other failure of a write means that nobody knows.
            PasswordRefused: the password was wrong and nothing has happened.
        """
