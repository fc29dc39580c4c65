"""The ground of a life: two companies on a running server, and what is known of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from retinue.domain.access import USER_SCOPES, Role, Scope
from retinue.domain.ids import new_id
from tests.fuzz.model.caller import Caller
from tests.fuzz.model.oracle import MOVES, Company, Credential, EmployeeKind, Key, Question, Talk, Token, Told, Turn
from tests.support.client import Answer

T = TypeVar("T")

USERS = ("una", "ugo")
MODELS: dict[EmployeeKind, str] = {
    "echo": "scripted-echo",
    "clerk": "scripted-shop",
    "slow": "scripted-slow",
    "fail": "scripted-fail",
}
INPUT_MICROS, OUTPUT_MICROS = 1, 1000
"""What a token costs here."""
TOKEN_SECONDS = 3600
ROOM_MICROS = 20_000
"""What the question of any call here costs at most, with the first word of its answer."""
TOOLS = ["generate_coupon", "get_order_status"]


class World(RuleBasedStateMachine):
    caller: ClassVar[Caller]
    operator: ClassVar[str]
    did: ClassVar[Counter[str]]
    """What has happened in all lives, to see that something does."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: list[Talk] = []
        """The conversations that the present step was about."""
        self.kept: list[Kept] = []
        self.companies = [self._found("Apis"), self._found("Bos")]

    def ask(self, who: Credential, method: str, path: str, body: object = None, *, key: str | None = None) -> Answer:
        return self.caller.call(who.secret, method, path, body, key=key)

    def operate(self, method: str, path: str, body: object = None, *, expect: int = 200) -> Any:
        """As the operator; the answer's body."""
        answer = self.caller.call(self.operator, method, path, body).expect(expect)
        return answer.json if answer.body else None

    def look(self, path: str) -> Any:
        return self.operate("GET", path)

    def pick(self, data: st.DataObject, options: Iterable[T], label: str) -> T:
        return data.draw(st.sampled_from(list(options)), label=label)

    def some(self, data: st.DataObject, company: Company, scope: Scope, talk: Talk | None = None) -> Credential:
        """A live credential that may do this, with this conversation."""
        return self.pick(data, self.able(company, scope, talk), "who")

    def able(self, company: Company, scope: Scope, talk: Talk | None = None) -> Sequence[Credential]:
        live = (each for each in company.credentials if not each.is_dead and scope in each.scopes)
        return [each for each in live if talk is None or each.sees(talk)]

    def make_key(self, company: Company, role: Role, who: str | None = None) -> Key:
        path = f"/tenants/{company.id}/api-keys"
        made = self.caller.call(who or self.operator, "POST", path, {"name": f"A {role}", "role": role})
        body = made.expect(201).json
        key = Key(body["id"], body["key"], company, role)
        company.keys.append(key)
        return key

    def make_token(self, maker: Key, user: str, scopes: frozenset[Scope], **bounds: str) -> Answer:
        body = {"user_id": user, "scopes": sorted(scopes), "expires_in_seconds": TOKEN_SECONDS, **bounds}
        answer = self.ask(maker, "POST", f"/tenants/{maker.tenant.id}/user-tokens", body)
        if answer.status == 201:
            bound = (bounds.get("employee_id"), bounds.get("conversation_id"))
            maker.tenant.tokens.append(Token(answer.json["token"], maker, user, scopes, *bound))
        return answer

    def refresh(self, talk: Talk) -> None:
        """Look at what may have moved by itself."""
        for turn in talk.active:
            self.observe(turn, self.look(f"/runs/{turn.id}"))

    def observe(self, turn: Turn, told: dict[str, Any]) -> None:
        """A run goes only where a run may go, and tells only one end."""
        assert told["status"] in MOVES[turn.status], f"{turn} became {told['status']}"
        turn.status = told["status"]
        if turn.is_over:
            assert turn.seen is None or turn.seen == told, f"{turn} changed after its end: {turn.seen} → {told}"
            turn.seen = told
        for question in turn.questions:
            self.observe_question(question)

    def observe_question(self, question: Question) -> None:
        told = self.look(f"/approvals/{question.id}")
        if question.decision is not None:
            assert told["decision"] == question.decision, f"{question}: {told}"
            return
        if told["status"] == "superseded":
            turn = question.run
            was_denied = any(each.decision == "deny" for each in turn.questions)
            assert turn.is_over or was_denied or question.tool in turn.talk.granted, f"{question} of {turn}: {told}"
            question.is_moot = True
        else:
            assert told["status"] == "pending", f"{question}: {told}"
            assert not question.is_moot, f"{question} is open again"

    def _found(self, name: str) -> Company:
        made = self.operate("POST", "/tenants", {"name": name, "slug": f"t-{new_id()}"}, expect=201)
        company = Company(made["id"], name)
        config = {"llm_provider": "scripted", "llm_model": "scripted-echo"}
        self.operate("PUT", f"/tenants/{company.id}/config", config)
        self.operate("PUT", f"/tenants/{company.id}/prices", {"prices": list(map(_price, MODELS.values()))})
        for kind, model in MODELS.items():
            body: dict[str, Any] = {
                "tenant_id": company.id,
                "name": kind.title(),
                "role": "assistant",
                "system_prompt": "Work.",
            }
            body |= {"model_settings": {"model": model}}
            body |= {"permission": "write", "tools": TOOLS} if kind == "clerk" else {}
            company.employees[kind] = self.operate("POST", "/employees", body, expect=201)["id"]
        self.make_key(company, Role.ADMIN)
        self.make_token(self.make_key(company, Role.MEMBER), USERS[1], USER_SCOPES)
        for kind in ("echo", "clerk"):
            self.begin_talk(company, USERS[0], kind, self.operator)
        return company

    def begin_talk(self, company: Company, user: str, kind: EmployeeKind, secret: str) -> Answer:
        body = {"tenant_id": company.id, "employee_id": company.employees[kind], "user_id": user}
        answer = self.caller.call(secret, "POST", "/conversations", body)
        if answer.status == 201:
            company.talks.append(Talk(answer.json["id"], company, user, company.employees[kind], kind))
        return answer


def _price(model: str) -> dict[str, Any]:
    millions = 1_000_000
    return {
        "provider": "scripted",
        "model": model,
        "input_price": INPUT_MICROS * millions,
        "output_price": OUTPUT_MICROS * millions,
    }


class Kept(Told):
    """A request that had an Idempotency-Key, and its answer."""

    def __init__(self, who: Credential, path: str, body: dict[str, Any], key: str, answer: dict[str, Any]) -> None:
        self.who, self.path, self.body, self.key, self.answer = who, path, body, key, answer

    def __repr__(self) -> str:
        return f"Kept({self.path}, {self.body})"


def is_whole(who: Credential) -> bool:
    """Whether it is no user's token."""
    return not isinstance(who, Token)
