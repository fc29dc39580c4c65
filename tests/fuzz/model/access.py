"""Keys and tokens: made, rotated, revoked, and used for what they are not for."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from retinue.domain.access import USER_SCOPES, Role, Scope
from tests.fuzz.model.oracle import Company, Credential, Key, Talk
from tests.fuzz.model.world import USERS, World

Probe = tuple[str, str, Any, Scope]
"""Method, path, body and the scope that it needs."""


class Access(World):
    @rule(data=st.data())
    def keys(self, data: st.DataObject) -> None:
        self.pick(data, [self.make, self.rotate, self.revoke, self.mint, self.mint], "change")(data)

    @rule(data=st.data())
    def trespass(self, data: st.DataObject) -> None:
        has_dead = any(each.is_dead for company in self.companies for each in company.credentials)
        attempts = [self.overreach, self.look_at_others, *([self.use_a_dead_one] if has_dead else [])]
        self.pick(data, attempts, "attempt")(data)

    def make(self, data: st.DataObject) -> None:
        company = self.pick(data, self.companies, "company")
        role = self.pick(data, Role, "role")
        if able := self.able(company, Scope.KEYS_WRITE):
            self.make_key(company, role, who=self.pick(data, able, "who").secret)
        else:
            self.make_key(company, role)

    def rotate(self, data: st.DataObject) -> None:
        grace = self.pick(data, [0, 3600], "grace")
        key = self.pick(data, [key for company in self.companies for key in company.keys], "key")
        path = f"/tenants/{key.tenant.id}/api-keys/{key.id}/rotate"
        answer = self.caller.call(self.operator, "POST", path, {"grace_seconds": grace})
        if key.is_dead:
            answer.problem(409, "key_ended")
            return
        told = answer.expect(201).json
        assert (told["role"], told["rotated_from"]) == (key.role, key.id)
        key.tenant.keys.append(Key(told["id"], told["key"], key.tenant, key.role))
        key.is_dead = grace == 0

    def revoke(self, data: st.DataObject) -> None:
        """A company keeps one key at least that can do everything."""
        key = self.pick(data, [key for company in self.companies for key in company.keys], "key")
        who = self.some(data, key.tenant, Scope.KEYS_WRITE) if self._admins(key.tenant) else None
        if self._admins(key.tenant) == [key]:
            self.make_key(key.tenant, Role.ADMIN)
        path = f"/tenants/{key.tenant.id}/api-keys/{key.id}"
        self.caller.call(who.secret if who else self.operator, "DELETE", path).expect(204)
        key.is_dead = True

    def mint(self, data: st.DataObject) -> None:
        user, binds = self.pick(data, USERS, "user"), self.pick(data, ["", "employee", "talk"], "bound to")
        company = self.pick(data, [each for each in self.companies if self._makers(each)] or self.companies, "company")
        makers = self._makers(company)
        if not makers:
            return
        maker = self.pick(data, makers, "maker")
        talk = self.pick(data, company.talks, "talk") if binds == "talk" and company.talks else None
        bounds = {} if talk is None else {"conversation_id": talk.id}
        if binds == "employee":
            bounds["employee_id"] = self.pick(data, company.employees.values(), "employee")
        answer = self.make_token(maker, user, self._scopes(data), **bounds)
        if talk is not None and talk.user != user:
            answer.problem(404, "not_found")
        else:
            answer.expect(201)

    def use_a_dead_one(self, data: st.DataObject) -> None:
        dead = [each for company in self.companies for each in company.credentials if each.is_dead]
        who = self.pick(data, dead, "who")
        method, path, body, _ = self.pick(data, self._probes(who.tenant), "probe")
        self.ask(who, method, path, body).problem(401, "unauthenticated")
        self.did["dead"] += 1

    def overreach(self, data: st.DataObject) -> None:
        """What somebody may not do, and what does not exist for them."""
        company = self.pick(data, self.companies, "company")
        who = self.pick(data, [each for each in company.credentials if not each.is_dead], "who")
        target = self.pick(data, self.companies, "target")
        method, path, body, scope = self.pick(data, self._probes(target), "probe")
        if scope not in who.scopes:
            self.ask(who, method, path, body).problem(403, "insufficient_scope")
        elif target is not company:
            self.ask(who, method, path, body).problem(404, "not_found")

    def look_at_others(self, data: st.DataObject) -> None:
        """Whatever a credential does not see is not there, whatever it tries."""
        talks = [talk for company in self.companies for talk in company.talks]
        if not talks:
            return
        talk = self.pick(data, talks, "talk")
        live = (each for company in self.companies for each in company.credentials if not each.is_dead)
        blind = [each for each in live if not each.sees(talk)]
        if not blind:
            return
        who = self.pick(data, blind, "who")
        method, path, body, scope = self.pick(data, _of_talk(talk), "probe")
        self.did["foreign"] += 1
        code = (404, "not_found") if scope in who.scopes else (403, "insufficient_scope")
        self.ask(who, method, path, body).problem(*code)

    def _scopes(self, data: st.DataObject) -> frozenset[Scope]:
        return data.draw(st.frozensets(st.sampled_from(sorted(USER_SCOPES)), min_size=1), label="scopes")

    def _admins(self, company: Company) -> list[Credential]:
        return list(self.able(company, Scope.KEYS_WRITE))

    def _makers(self, company: Company) -> list[Key]:
        makers = [key for key in company.keys if not key.is_dead and Scope.TOKENS_WRITE in key.scopes]
        return [key for key in makers if key.scopes >= USER_SCOPES]

    def _probes(self, company: Company) -> list[Probe]:
        employee = company.employees["echo"]
        change = {"name": "Changed"}
        return [
            ("GET", f"/tenants/{company.id}", None, Scope.TENANT_READ),
            ("PATCH", f"/tenants/{company.id}", change, Scope.TENANT_WRITE),
            ("GET", f"/tenants/{company.id}/config", None, Scope.CONFIG_READ),
            ("GET", f"/tenants/{company.id}/api-keys", None, Scope.KEYS_READ),
            ("GET", f"/tenants/{company.id}/limits", None, Scope.LIMITS_READ),
            ("GET", f"/tenants/{company.id}/budgets", None, Scope.BUDGETS_READ),
            ("GET", f"/audit?tenant_id={company.id}", None, Scope.AUDIT_READ),
            ("GET", f"/usage?tenant_id={company.id}", None, Scope.USAGE_READ),
            ("GET", f"/employees/{employee}", None, Scope.EMPLOYEES_READ),
            ("PATCH", f"/employees/{employee}", change, Scope.EMPLOYEES_WRITE),
            ("GET", f"/conversations?tenant_id={company.id}", None, Scope.CONVERSATIONS_READ),
        ]


def _of_talk(talk: Talk) -> list[Probe]:
    message = {"content": "Hello"}
    probes: list[Probe] = [
        ("GET", f"/conversations/{talk.id}", None, Scope.CONVERSATIONS_READ),
        ("GET", f"/conversations/{talk.id}/messages", None, Scope.CONVERSATIONS_READ),
        ("GET", f"/conversations/{talk.id}/runs", None, Scope.CONVERSATIONS_READ),
        ("GET", f"/conversations/{talk.id}/events", None, Scope.CONVERSATIONS_READ),
        ("PATCH", f"/conversations/{talk.id}", {"title": "Mine"}, Scope.CONVERSATIONS_WRITE),
        ("DELETE", f"/conversations/{talk.id}", None, Scope.CONVERSATIONS_WRITE),
        ("POST", f"/conversations/{talk.id}/cancel", None, Scope.CONVERSATIONS_WRITE),
        ("POST", f"/conversations/{talk.id}/messages", message, Scope.CONVERSATIONS_WRITE),
        ("POST", f"/conversations/{talk.id}/messages/stream", message, Scope.CONVERSATIONS_WRITE),
    ]
    for turn in talk.turns[-1:]:
        probes += [
            ("GET", f"/runs/{turn.id}", None, Scope.CONVERSATIONS_READ),
            ("GET", f"/runs/{turn.id}/events", None, Scope.CONVERSATIONS_READ),
            ("GET", f"/runs/{turn.id}/stream", None, Scope.CONVERSATIONS_READ),
            ("POST", f"/runs/{turn.id}/cancel", None, Scope.CONVERSATIONS_WRITE),
        ]
        for question in turn.questions[-1:]:
            probes.append(("GET", f"/approvals/{question.id}", None, Scope.APPROVALS_READ))
            probes.append(("POST", f"/approvals/{question.id}/allow_once", None, Scope.APPROVALS_DECIDE))
            probes.append(("POST", f"/approvals/{question.id}/decision", True, Scope.APPROVALS_DECIDE))
    return probes
