"""What holds after every step, and what holds in the end."""

from collections import Counter, defaultdict
from typing import Any

from hypothesis.stateful import invariant

from retinue.domain.access import Scope
from tests.fuzz.model.money import Money
from tests.fuzz.model.oracle import TERMINAL, Company, Talk, Turn

ENDS = frozenset(f"run.{status}" for status in TERMINAL)
Row = tuple[str, str, int | None]
"""Of the ledger: run, conversation and cost."""


class Books(Money):
    step = 0

    @invariant()
    def holds(self) -> None:
        talks, self.touched = list(dict.fromkeys(self.touched)), []
        for talk in talks:
            self.check_talk(talk)
        company = self.companies[self.step % len(self.companies)]
        self.check_limits(company)
        self.check_sight(company)
        self.check_one_pair()
        self.step += 1

    def check_one_pair(self) -> None:
        """One credential after the other meets one conversation after the other. What is dead opens nothing."""
        everybody = [each for company in self.companies for each in company.credentials]
        readers = [each for each in everybody if each.is_dead or Scope.CONVERSATIONS_READ in each.scopes]
        talks = [talk for company in self.companies for talk in company.talks]
        if not readers or not talks:
            return
        turn, place = divmod(self.step, len(readers))
        who, talk = readers[place], talks[(turn + place) % len(talks)]
        status = 401 if who.is_dead else 200 if who.sees(talk) else 404
        self.ask(who, "GET", f"/conversations/{talk.id}").expect(status)
        self.did[f"{status} for a conversation"] += 1

    def check_talk(self, talk: Talk) -> None:
        """Messages in their order, runs with one end each."""
        self.refresh(talk)
        messages = self.look(f"/conversations/{talk.id}/messages?limit=200")
        assert [each["position"] for each in messages] == list(range(1, talk.messages + 1)), messages
        runs = {run["id"]: run for run in self.look(f"/conversations/{talk.id}/runs?limit=200")}
        assert list(runs) == [turn.id for turn in talk.turns]
        by_run = Counter(each["run_id"] for each in messages if each["role"] == "assistant")
        assert by_run == Counter(turn.id for turn in talk.turns)
        for turn in talk.turns:
            self.check_turn(turn, runs[turn.id], messages)

    def check_turn(self, turn: Turn, told: dict[str, Any], messages: list[dict[str, Any]]) -> None:
        self.observe(turn, told)
        if not turn.is_over:
            return
        [answer] = [each for each in messages if each["id"] == told["message_id"]]
        assert answer["status"] == turn.status, (answer, turn)
        assert (answer["usage"], answer["cost"]) == (told["usage"], told["cost"]), (answer, told)
        assert not any(each.decision is None and not each.is_moot for each in turn.questions), turn.questions

    def check_events(self, turn: Turn) -> None:
        """One end, and nothing after it."""
        kinds = [event["type"] for event in self.look(f"/runs/{turn.id}/events?limit=1000")]
        assert [kind for kind in kinds if kind in ENDS] == [f"run.{turn.status}"], kinds
        assert kinds[-1] in ENDS, kinds

    def check_sight(self, company: Company) -> None:
        """Credentials see what is theirs, all of it, and nothing else. One after the other takes its turn."""
        if readers := self.able(company, Scope.CONVERSATIONS_READ):
            who = readers[self.step // 2 % len(readers)]
            told = self.ask(who, "GET", "/conversations?limit=200").expect(200).json
            assert {each["id"] for each in told} == {talk.id for talk in company.talks if who.sees(talk)}, who
        if deciders := self.able(company, Scope.APPROVALS_READ):
            who = deciders[self.step // 2 % len(deciders)]
            told = self.ask(who, "GET", "/approvals/pending?limit=200").expect(200).json
            waiting = {each.id for each in company.questions if each.decision is None and not each.is_moot}
            seen = {each.id for each in company.questions if who.sees(each.run.talk)}
            assert {each["approval_id"] for each in told} == waiting & seen, who

    def teardown(self) -> None:
        for company in self.companies:
            for talk in company.talks:
                self.operate("POST", f"/conversations/{talk.id}/cancel")
                self.check_talk(talk)
                assert not talk.active, talk.active
                for turn in talk.turns:
                    self.check_events(turn)
            self.check_limits(company)
            self.check_spent(company)
            self.check_ledger(company)
            verdict = self.look(f"/audit/verify?tenant_id={company.id}")
            assert verdict["is_valid"], verdict
            assert verdict["entries"] > 0

    def check_ledger(self, company: Company) -> None:
        """Ledger, runs and usage tell of the same money."""
        rows = self.ledger(company)
        by_run: dict[str, int] = defaultdict(int)
        by_talk: dict[str, int] = defaultdict(int)
        for run, talk, cost in rows:
            by_run[run] += cost or 0
            by_talk[talk] += cost or 0
        for turn in company.turns:
            assert turn.seen is not None
            told = turn.seen["cost"]
            assert by_run.get(turn.id, 0) == (told["micros"] if told else 0), (turn, told, rows)
        told = self.look(f"/usage?tenant_id={company.id}&group_by=conversation&limit=200")
        assert {row["key"]: row["cost_micros"] or 0 for row in told} == by_talk, (told, by_talk)
        assert sum(row["calls"] for row in told) == len(rows)

    def ledger(self, company: Company) -> list[Row]:
        """The closed rows of a tenant. There must be no open ones."""
        raise NotImplementedError
