"""Conversations and what is said in them."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from retinue.domain.access import Scope
from retinue.domain.ids import new_id
from tests.fuzz.model.money import Money
from tests.fuzz.model.oracle import Credential, EmployeeKind, Question, Talk, Token, Turn
from tests.fuzz.model.world import USERS, Kept

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12)
ERRANDS = ("Hello", "A coupon of 10%", "A coupon of 15%", "A coupon of 10% and a coupon of 20%")


class Talking(Money):
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        company = self.pick(data, self.companies, "company")
        who = self.some(data, company, Scope.CONVERSATIONS_WRITE)
        kind = self.pick(data, company.employees, "employee")
        user = self.pick(data, USERS, "user")
        answer = self.begin_talk(company, user, kind, who.secret)
        if isinstance(who, Token) and (who.talk is not None or who.user != user):
            answer.problem(403, "outside_of_token")
        elif isinstance(who, Token) and who.employee not in {None, company.employees[kind]}:
            answer.problem(404, "not_found")
        else:
            answer.expect(201)

    @precondition(lambda self: any(company.talks for company in self.companies))
    @rule(data=st.data(), has_key=st.booleans())
    def store(self, data: st.DataObject, has_key: bool) -> None:
        """A message that asks for no answer."""
        talk, who = self._talk(data)
        body = {"content": data.draw(WORDS)}
        key = str(new_id()) if has_key else None
        self.refresh(talk)
        answer = self.ask(who, "POST", f"/conversations/{talk.id}/messages", body, key=key)
        if talk.is_closed:
            answer.problem(409, "conversation_closed")
        elif answer.status == 409 and talk.active:
            answer.problem(409, "conversation_busy")
        else:
            told = answer.expect(200).json
            assert told["content"] == body["content"]
            talk.messages += 1
            self._keep(who, f"/conversations/{talk.id}/messages", body, key, told)

    @precondition(lambda self: any(company.talks for company in self.companies))
    @rule(data=st.data(), streams=st.booleans(), has_key=st.booleans())
    def say(self, data: st.DataObject, streams: bool, has_key: bool) -> None:
        """A message that is answered."""
        self.hold(data, *self._talk(data), streams=streams, has_key=has_key)

    @precondition(lambda self: any(talk.kind == "clerk" for company in self.companies for talk in company.talks))
    @rule(data=st.data(), streams=st.booleans())
    def order(self, data: st.DataObject, streams: bool) -> None:
        """A message to somebody who uses tools."""
        self.hold(data, *self._talk(data, "clerk"), streams=streams, has_key=False)

    def hold(self, data: st.DataObject, talk: Talk, who: Credential, *, streams: bool, has_key: bool) -> None:
        content = self.pick(data, ERRANDS, "errand") if talk.kind == "clerk" else data.draw(WORDS)
        self.refresh(talk)
        was_active = bool(talk.active)
        has_no_money = self.is_used_up(talk, who)
        key = str(new_id()) if has_key else None
        if talk.kind == "slow":
            status, told = self.caller.begin(who.secret, _stream(talk), {"content": content}, key=key)
        elif streams:
            status, told = self._stream(who, talk, content, key)
        else:
            answer = self.ask(who, "POST", _messages(talk), {"content": content, "respond": True}, key=key)
            status, told = answer.status, answer.json
        if self._was_refused(talk, who, status, told, was_active):
            return
        assert not has_no_money, "an answer without money"
        self.did["answered"] += 1
        turn = self._new_turn(talk, told.get("run_id") or self._last_run(talk))
        talk.messages += 2
        if turn.is_over and turn.status == "completed" and talk.kind == "echo":
            self._check_echo(talk, turn, content)
        if status == 200 and not streams and talk.kind != "slow":
            body = {"content": content, "respond": True}
            self._keep(who, _messages(talk), body, key, {"run_id": turn.id})

    def _check_echo(self, talk: Talk, turn: Turn, content: str) -> None:
        assert turn.seen is not None
        [answer] = [each for each in self._all(f"/conversations/{talk.id}/messages") if each["run_id"] == turn.id]
        if turn.seen["finish_reason"] == "budget":
            self.did["cut off"] += 1
            assert content.startswith(answer["content"])
        else:
            assert answer["content"] == content, (answer, content)

    def _was_refused(self, talk: Talk, who: Credential, status: int, told: dict[str, Any], was_active: bool) -> bool:
        code = told.get("code")
        if talk.is_closed:
            assert (status, code) == (409, "conversation_closed"), told
        elif status == 409:
            assert code == "conversation_busy", told
            assert was_active, told
        elif status == 402:
            assert code == "budget_exceeded", told
            self.refused_for_money(talk, who)
            self.did["without money"] += 1
        elif talk.kind == "fail":
            assert (status, code) in {(503, "provider_overloaded"), (200, None)}, told
            return False
        else:
            assert status in {200, 202}, told
            return False
        return True

    def _stream(self, who: Credential, talk: Talk, content: str, key: str | None) -> tuple[int, dict[str, Any]]:
        answer, frames = self.caller.stream(who.secret, _stream(talk), {"content": content}, key=key)
        if not frames:
            return answer.status, answer.json
        kinds = [frame.event for frame in frames]
        assert kinds[0] == "message_start", kinds
        assert kinds[-1] == "message_end", kinds
        assert kinds.count("message_end") == 1, kinds
        assert [frame.json["type"] for frame in frames] == kinds
        return 200, frames[0].json

    def _last_run(self, talk: Talk) -> str:
        """A run that failed before it could tell its id."""
        known = {turn.id for turn in talk.turns}
        [new] = [run["id"] for run in self._all(f"/conversations/{talk.id}/runs") if run["id"] not in known]
        return str(new)

    def _new_turn(self, talk: Talk, run_id: str) -> Turn:
        told = self.look(f"/runs/{run_id}")
        turn = Turn(run_id, talk, told["status"])
        talk.turns.append(turn)
        for approval in self.look(f"/approvals/pending?tenant_id={talk.tenant.id}&limit=200"):
            if approval["run_id"] == run_id:
                turn.questions.append(Question(approval["approval_id"], turn, approval["tool"]))
        assert bool(turn.questions) == (turn.status == "waiting"), (turn, turn.questions)
        self.observe(turn, told)
        return turn

    def _all(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.look(f"{path}?limit=200")
        return found

    def _talk(self, data: st.DataObject, kind: EmployeeKind | None = None) -> tuple[Talk, Credential]:
        talks = [talk for company in self.companies for talk in company.talks if kind in {None, talk.kind}]
        talk = self.pick(data, talks, "talk")
        self.touched.append(talk)
        return talk, self.some(data, talk.tenant, Scope.CONVERSATIONS_WRITE, talk)

    def _keep(self, who: Credential, path: str, body: dict[str, Any], key: str | None, answer: dict[str, Any]) -> None:
        if key is not None:
            self.kept.append(Kept(who, path, body, key, answer))


def _messages(talk: Talk) -> str:
    return f"/conversations/{talk.id}/messages"


def _stream(talk: Talk) -> str:
    return f"/conversations/{talk.id}/messages/stream"
