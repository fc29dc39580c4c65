"""Budgets, and that nobody spends beyond them."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from retinue.domain.access import Scope
from tests.fuzz.model.oracle import Company, Credential, Limit, Talk, Token
from tests.fuzz.model.world import ROOM_MICROS, USERS, World

AMOUNTS = (0, 3_000, 20_000, 150_000, 10_000_000)
SUBJECTS = ("tenant", "employee", "user", "key")
CHUNK_MICROS = 10_000
"""A word of an answer, or a piece of a call's arguments, costs at most so much here."""
SLOW_MICROS = 150_000
"""An answer that was being written before there was the budget may still cost so much."""


class Money(World):
    @rule(data=st.data())
    def budgets(self, data: st.DataObject) -> None:
        has_some = any(company.limits for company in self.companies)
        changes = [self.set_limit, self.change_limit, self.drop_limit] if has_some else [self.set_limit]
        self.pick(data, changes, "change")(data)

    def set_limit(self, data: st.DataObject) -> None:
        micros, subject = self.pick(data, AMOUNTS, "micros"), self.pick(data, SUBJECTS, "subject")
        company = self.pick(data, self.companies, "company")
        able = self.able(company, Scope.BUDGETS_WRITE)
        who = self.pick(data, able, "who").secret if able else self.operator
        named = self._subject(data, company, subject)
        body: dict[str, Any] = {"subject": subject, "period": "month", "limit_micros": micros}
        body |= {} if named is None else {"subject_id": named}
        slack = self._slack(company)
        answer = self.caller.call(who, "POST", f"/tenants/{company.id}/budgets", body)
        if any((each.subject, each.subject_id) == (subject, named or company.id) for each in company.limits):
            answer.problem(409, "budget_exists")
            return
        told = answer.expect(201).json
        most = max(micros, told["spent_micros"]) + slack
        company.limits.append(Limit(told["id"], subject, named or company.id, micros, most))

    def change_limit(self, data: st.DataObject) -> None:
        limit, path = self._limit(data)
        micros = self.pick(data, AMOUNTS, "micros")
        told = self.operate("PATCH", path, {"limit_micros": micros})
        assert told["limit_micros"] == micros
        limit.micros, limit.most = micros, max(limit.most, micros)

    def drop_limit(self, data: st.DataObject) -> None:
        limit, path = self._limit(data)
        self.operate("DELETE", path, expect=204)
        for company in self.companies:
            company.limits = [each for each in company.limits if each is not limit]

    def is_used_up(self, talk: Talk, who: Credential) -> bool:
        """Whether a budget has nothing left for an answer here."""
        return any(
            told["spent_micros"] >= told["limit_micros"]
            for told in self._budgets(talk.tenant)
            if _binds(told, talk, who)
        )

    def refused_for_money(self, talk: Talk, who: Credential) -> None:
        """There has to be a budget with too little left for a word."""
        told = [each for each in self._budgets(talk.tenant) if _binds(each, talk, who)]
        left = [each["limit_micros"] - each["spent_micros"] - each["reserved_micros"] for each in told]
        assert any(micros < ROOM_MICROS for micros in left), told

    def check_limits(self, company: Company) -> None:
        told = {each["id"]: each for each in self._budgets(company)}
        assert told.keys() == {limit.id for limit in company.limits}
        for limit in company.limits:
            has = told[limit.id]
            assert has["limit_micros"] == limit.micros
            assert has["spent_micros"] + has["reserved_micros"] <= limit.most + CHUNK_MICROS, (limit, has)
            if not self._writes(company):
                assert has["reserved_micros"] == 0, has

    def check_spent(self, company: Company) -> None:
        """What budgets say is spent is what usage says was."""
        if self._writes(company):
            return
        spent = {
            (subject, row["key"]): row["cost_micros"] or 0
            for subject in ("employee", "user")
            for row in self.look(f"/usage?tenant_id={company.id}&group_by={subject}")
        }
        spent["tenant", company.id] = sum(cost for (subject, _), cost in spent.items() if subject == "user")
        for told in self._budgets(company):
            if told["subject"] != "key":
                assert told["spent_micros"] == spent.get((told["subject"], told["subject_id"]), 0), (told, spent)

    def _writes(self, company: Company) -> bool:
        """Whether an answer is being written. An answer may end at any time by itself."""
        return any(turn.status in {"running", "queued"} for turn in company.turns)

    def _slack(self, company: Company) -> int:
        return SLOW_MICROS * sum(turn.status in {"running", "queued"} for turn in company.turns)

    def _budgets(self, company: Company) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.look(f"/tenants/{company.id}/budgets?limit=200") if company.limits else []
        return found

    def _limit(self, data: st.DataObject) -> tuple[Limit, str]:
        limits = [(company, limit) for company in self.companies for limit in company.limits]
        company, limit = self.pick(data, limits, "budget")
        return limit, f"/tenants/{company.id}/budgets/{limit.id}"

    def _subject(self, data: st.DataObject, company: Company, subject: str) -> str | None:
        match subject:
            case "employee":
                return self.pick(data, company.employees.values(), "employee")
            case "user":
                return self.pick(data, USERS, "user")
            case "key":
                return self.pick(data, company.keys, "key").id
        return None


def _binds(told: dict[str, Any], talk: Talk, who: Credential) -> bool:
    key = who.maker if isinstance(who, Token) else who
    subjects = {"tenant": talk.tenant.id, "employee": talk.employee, "user": talk.user, "key": key.id}
    return bool(subjects[told["subject"]] == told["subject_id"])
