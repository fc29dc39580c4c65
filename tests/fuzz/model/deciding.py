"""Decisions about calls, and stops."""

import time
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from retinue.domain.access import Scope
from retinue.domain.ids import new_id
from tests.fuzz.model.oracle import Credential, Question, Talk, Turn
from tests.fuzz.model.world import World
from tests.support.client import Answer

WAYS = {
    "allow_once": ("allow_once", None),
    "allow_for_conversation": ("allow_for_conversation", {"comment": "Go on."}),
    "deny": ("deny", {"comment": "No."}),
    "yes": ("allow_once", True),
    "no": ("deny", {"approved": False}),
}
"""Ways to decide: what is decided, and the body."""
PATIENCE = 30.0


class Deciding(World):
    @precondition(lambda self: any(list(company.questions) for company in self.companies))
    @rule(data=st.data(), has_key=st.booleans())
    def decide(self, data: st.DataObject, has_key: bool) -> None:
        questions = [each for company in self.companies for each in company.questions]
        undecided = [each for each in questions if each.decision is None and not each.is_moot]
        question = self.pick(data, undecided * 2 + questions, "question")
        talk = self._touch(question.run.talk)
        who = self.some(data, talk.tenant, Scope.APPROVALS_DECIDE, talk)
        way = self.pick(data, WAYS, "way")
        decision, body = WAYS[way]
        path = f"/approvals/{question.id}/{way if way not in {'yes', 'no'} else 'decision'}"
        key = str(new_id()) if has_key else None
        answer = self.ask(who, "POST", path, body, key=key)
        if question.is_moot:
            answer.problem(409, "approval_superseded")
        elif question.decision is not None:
            answer.problem(409, "approval_decided")
        else:
            assert answer.expect(200).json["decision"] == decision
            self._decided(question, decision)
            if key is not None:
                again = self.ask(who, "POST", path, body, key=key)
                assert again.expect(200).body == answer.body, "a repeated decision gets the first one's answer"

    @precondition(lambda self: any(company.talks for company in self.companies))
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        ways = [self.cancel, self.cancel, self.close_or_reopen, self.close_or_reopen, self.cancel_talk, self.delete]
        self.pick(data, ways, "way")(data)

    def cancel(self, data: st.DataObject) -> None:
        turns = [turn for company in self.companies for turn in company.turns]
        if not turns:
            return
        turn = self.pick(data, turns, "run")
        talk = self._touch(turn.talk)
        who = self.some(data, talk.tenant, Scope.CONVERSATIONS_WRITE, talk)
        self.refresh(talk)
        was = turn.status
        answer = self.ask(who, "POST", f"/runs/{turn.id}/cancel")
        if was == "cancelled":
            assert answer.expect(200).json["receipt"] == (turn.seen or {})["receipt"]
        elif turn.is_over:
            answer.problem(409, "run_ended")
        else:
            self._check_cancelled(turn, answer)

    def close_or_reopen(self, data: st.DataObject) -> None:
        talk, who = self._writer(data)
        closes = not talk.is_closed
        status = "closed" if closes else "active"
        told = self.ask(who, "PATCH", f"/conversations/{talk.id}", {"status": status}).expect(200).json
        assert told["status"] == status
        talk.is_closed = closes

    def cancel_talk(self, data: st.DataObject) -> None:
        talk, who = self._writer(data)
        self.refresh(talk)
        was_active = {turn.id for turn in talk.active}
        told = self.ask(who, "POST", f"/conversations/{talk.id}/cancel").expect(200).json
        assert {each["run_id"] for each in told} <= was_active
        self.refresh(talk)
        assert not talk.active, talk.active

    def delete(self, data: st.DataObject) -> None:
        talk, who = self._writer(data)
        self.ask(who, "DELETE", f"/conversations/{talk.id}").expect(204)
        self.touched.remove(talk)
        talk.tenant.talks.remove(talk)
        talk.tenant.deleted.append(talk)
        for path in (f"/conversations/{talk.id}", *(f"/runs/{turn.id}" for turn in talk.turns)):
            self.caller.call(self.operator, "GET", path).problem(404, "not_found")

    def _check_cancelled(self, turn: Turn, answer: Answer) -> None:
        told = answer.json
        self.refresh(turn.talk)
        if answer.status == 409 and turn.status in {"completed", "failed"}:
            return  # it was faster
        assert answer.status == 200, answer
        assert (told["status"], turn.status) == ("cancelled", "cancelled"), (told, turn)
        assert told["receipt"] is not None
        self.did["cancelled"] += 1

    def _decided(self, question: Question, decision: str) -> None:
        self.did[decision] += 1
        question.decision = decision
        talk = question.run.talk
        if decision == "allow_for_conversation":
            talk.granted.add(question.tool)
        self._await_rest(question.run)

    def _await_rest(self, turn: Turn) -> None:
        """Until it is over, or waits for somebody again."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            told: dict[str, Any] = self.look(f"/runs/{turn.id}")
            self.observe(turn, told)
            has_open = any(each.decision is None and not each.is_moot for each in turn.questions)
            if turn.is_over or (turn.status == "waiting" and has_open):
                return
            time.sleep(0.01)
        raise AssertionError(f"{turn} does not go on after {turn.questions}")

    def _writer(self, data: st.DataObject) -> tuple[Talk, Credential]:
        talk = self.pick(data, [talk for company in self.companies for talk in company.talks], "talk")
        return self._touch(talk), self.some(data, talk.tenant, Scope.CONVERSATIONS_WRITE, talk)

    def _touch(self, talk: Talk) -> Talk:
        self.touched.append(talk)
        return talk
