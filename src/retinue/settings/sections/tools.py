"""What employees may do, and for what they have to ask."""

from typing import Annotated, Literal

import msgspec
from pydantic import AfterValidator, Field, FiniteFloat, PositiveInt

from retinue.domain.policy import RunLimits
from retinue.settings import values
from retinue.settings.sections.base import SECONDS_OF_A_YEAR, Seconds, Section

_RUN = RunLimits()


class Tools(Section):
    """Bounds of tool calls."""

    seconds: Seconds = Field(
        default=_RUN.tool_seconds, description="The longest that a tool may take, in seconds, whatever it is made for."
    )
    result_chars: PositiveInt = Field(
        default=_RUN.result_chars, description="Length of a tool's result, in characters; the rest is cut off."
    )
    max_calls_per_step: PositiveInt = Field(
        default=_RUN.max_calls_per_step,
        description="Tool calls of one model answer that are carried out; the model is told that the rest was not.",
    )
    max_identical_failures: PositiveInt = Field(
        default=_RUN.max_identical_failures,
        description="So often may the same call fail in a run before it is answered without being tried again.",
    )
    fetch_max_bytes: PositiveInt = Field(
        default=1_048_576, description="Bytes that fetch_url reads of one page, unpacked; the rest is cut off."
    )
    fetch_seconds: Seconds = Field(
        default=30.0, description="Seconds that fetch_url has for one page, all redirects included."
    )

    def complete(self, limits: RunLimits) -> RunLimits:
        """The limits of a run with those of its tool calls."""
        return msgspec.structs.replace(
            limits,
            tool_seconds=self.seconds,
            result_chars=self.result_chars,
            max_calls_per_step=self.max_calls_per_step,
            max_identical_failures=self.max_identical_failures,
        )


class Approvals(Section):
    """How long people are waited for."""

    ttl_seconds: Annotated[FiniteFloat, Field(gt=0, le=SECONDS_OF_A_YEAR)] = Field(
        default=_RUN.approval_seconds,
        description="Seconds that an approval, or a password, is waited for before the run ends as expired.",
    )
    password_tries: PositiveInt = Field(
        default=_RUN.password_tries, description="Wrong passwords for one call before the call fails."
    )
    sweep_seconds: Seconds = Field(
        default=1.0, description="Seconds between two searches for approvals that nobody decided in time."
    )

    def complete(self, limits: RunLimits) -> RunLimits:
        """The limits of a run with those of its pauses."""
        return msgspec.structs.replace(limits, approval_seconds=self.ttl_seconds, password_tries=self.password_tries)


class Workspace(Section):
    """Files and commands for employees: the tools file_read, list_dir and shell_exec_safe."""

    enabled: bool = Field(default=False, description="Whether employees can be given these tools at all.")
    root: str = Field(
        default=".data/workspaces",
        min_length=1,
        description="Directory with one workspace per tenant, named by the tenant's id.",
    )
    outside: Literal["ask", "deny"] = Field(
        default="ask", description="Whether a call that leaves the tenant's workspace is asked for or refused."
    )
    sudo: bool = Field(
        default=False,
        description="Whether commands may use sudo, each with an approval and a password. Where sudo asks for none, as "
        "it does of root, they are refused.",
    )
    unconfined: bool = Field(
        default=False,
        description="Whether commands that only the kernel could keep in the workspace may run, once approved, where "
        "it cannot: it needs Landlock and seccomp, in Linux 6.12, or 6.2 if its user may make namespaces of processes. "
        "Such a command can do all that the server can.",
    )
    network: bool = Field(
        default=False,
        description="Whether commands may open connections, once approved. Nothing checks where to: they reach "
        "internal addresses, too.",
    )
    seconds: Seconds = Field(default=30.0, description="Seconds that one command may take.")
    memory_bytes: Annotated[int, Field(ge=16_777_216)] = Field(
        default=536_870_912,
        description="Address space of each process of a command, in bytes, and memory of all of them together.",
    )
    output_bytes: PositiveInt = Field(
        default=65_536, description="Bytes that are kept of each of a command's two outputs."
    )
    path: Annotated[str, AfterValidator(values.search_path)] = Field(
        default="/usr/local/bin:/usr/bin:/bin",
        description="Absolute directories, separated by colons, in which commands are looked for.",
    )
