"""What there should be, in plain Python."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from retinue.domain.access import SCOPES_OF, Role, Scope

EmployeeKind = Literal["echo", "clerk", "slow", "fail"]
TERMINAL = frozenset({"completed", "failed", "cancelled", "expired"})
MOVES: dict[str, frozenset[str]] = {
    "queued": frozenset({"queued", "running", "waiting"}) | TERMINAL,
    "running": frozenset({"running", "waiting"}) | TERMINAL,
    "waiting": frozenset({"running", "waiting"}) | TERMINAL,
    **{status: frozenset({status}) for status in TERMINAL},
}
"""What a run may be after it was seen to be something."""


class Told:
    """Shown in a few words where a failing life is told."""

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(repr(self))


@dataclass(eq=False)
class Question(Told):
    """An approval."""

    id: str
    run: "Turn"
    tool: str
    decision: str | None = None
    """What was decided, once and for all."""
    is_moot: bool = False
    """The run ended before anybody decided."""

    def __repr__(self) -> str:
        return f"Question({self.tool}, {self.decision or ('moot' if self.is_moot else 'open')})"


@dataclass(eq=False)
class Turn(Told):
    """A run."""

    id: str
    talk: "Talk"
    status: str
    seen: dict[str, Any] | None = None
    """As the API told it after its end; never tells anything else again."""
    questions: list[Question] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL

    def __repr__(self) -> str:
        return f"Turn({self.id[-6:]}, {self.status})"


@dataclass(eq=False)
class Talk(Told):
    """A conversation."""

    id: str
    tenant: "Company"
    user: str
    employee: str
    kind: EmployeeKind
    is_closed: bool = False
    messages: int = 0
    turns: list[Turn] = field(default_factory=list)
    granted: set[str] = field(default_factory=set)
    """Tools that were allowed for the conversation."""

    @property
    def active(self) -> list[Turn]:
        return [turn for turn in self.turns if not turn.is_over]

    def __repr__(self) -> str:
        return f"Talk({self.kind}, {self.user}, {self.id[-6:]}{', closed' if self.is_closed else ''})"


@dataclass(eq=False)
class Key(Told):
    id: str
    secret: str
    tenant: "Company"
    role: Role
    is_dead: bool = False

    @property
    def scopes(self) -> frozenset[Scope]:
        return SCOPES_OF[self.role]

    def sees(self, talk: Talk) -> bool:
        return talk.tenant is self.tenant

    def __repr__(self) -> str:
        return f"Key({self.role}, {self.tenant.name}{', dead' if self.is_dead else ''})"


@dataclass(eq=False)
class Token(Told):
    secret: str
    maker: Key
    user: str
    scopes: frozenset[Scope]
    employee: str | None = None
    talk: str | None = None

    @property
    def tenant(self) -> "Company":
        return self.maker.tenant

    @property
    def is_dead(self) -> bool:
        return self.maker.is_dead

    def sees(self, talk: Talk) -> bool:
        return (
            talk.tenant is self.tenant
            and talk.user == self.user
            and self.employee in {None, talk.employee}
            and self.talk in {None, talk.id}
        )

    def __repr__(self) -> str:
        bound = "".join(f", {what}" for what in (self.employee and "one employee", self.talk and "one talk") if what)
        return f"Token({self.user} of {self.tenant.name}{bound}{', dead' if self.is_dead else ''})"


Credential = Key | Token


@dataclass(eq=False)
class Limit(Told):
    """A budget with a hard stop."""

    id: str
    subject: str
    subject_id: str
    micros: int
    most: int
    """The highest that the limit has been."""

    def __repr__(self) -> str:
        return f"Limit({self.subject}, {self.micros})"


@dataclass(eq=False)
class Company(Told):
    """A tenant."""

    id: str
    name: str
    employees: dict[EmployeeKind, str] = field(default_factory=dict)
    talks: list[Talk] = field(default_factory=list)
    deleted: list[Talk] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)

    @property
    def credentials(self) -> list[Credential]:
        return [*self.keys, *self.tokens]

    @property
    def turns(self) -> Iterator[Turn]:
        return (turn for talk in self.talks for turn in talk.turns)

    @property
    def questions(self) -> Iterator[Question]:
        return (question for turn in self.turns for question in turn.questions)

    def __repr__(self) -> str:
        return self.name
