"""What the model sends with each call."""

from typing import Annotated, Literal

import msgspec

from retinue.domain.tools import Risk

Level = Literal["none", "low", "medium", "high"]

_Path = Annotated[
    str, msgspec.Meta(min_length=1, max_length=4_000, description="Path relative to the workspace; `.` is its root.")
]
_Level = Annotated[
    Level | None, msgspec.Meta(description="How risky you think this is. It can only make the server more careful.")
]
_Reason = Annotated[str, msgspec.Meta(max_length=1_000, description="Why you do this, in one sentence.")]


class _Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    risk_level: _Level = None
    reason: _Reason = ""

    def risk(self, computed: Risk) -> Risk:
        """The server's risk, raised by the model's own word."""
        return computed if self.risk_level is None else computed.or_worse(Risk(self.risk_level))


class FileArguments(_Arguments, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: _Path
    offset: Annotated[int, msgspec.Meta(ge=0, le=10**12, description="Lines to leave out at the beginning.")] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=10**6, description="Lines to read at most.")] = 2_000


class DirectoryArguments(_Arguments, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: _Path = "."


class CommandArguments(_Arguments, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=8_000,
            description="One command line. Run in the workspace's root; plain read-only commands run without asking.",
        ),
    ]
