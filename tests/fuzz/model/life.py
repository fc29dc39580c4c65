"""A life: everything that can happen, in any order."""

import asyncio
from collections import Counter
from typing import ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.e2e.streams.store import rows
from tests.fuzz.model.access import Access
from tests.fuzz.model.books import Books, Row
from tests.fuzz.model.caller import Caller
from tests.fuzz.model.deciding import Deciding
from tests.fuzz.model.oracle import Company
from tests.fuzz.model.talking import Talking
from tests.support.server import RetinueServer


class Life(Talking, Deciding, Access, Books):
    server: ClassVar[RetinueServer]
    lived: ClassVar[list[int]]
    """Steps of each life that is over."""

    @classmethod
    def on(cls, server: RetinueServer, caller: Caller) -> type["Life"]:
        """Lives on this server."""
        bound = {"server": server, "caller": caller, "operator": server.key, "lived": [], "did": Counter()}
        return type(cls.__name__, (cls,), bound)

    def teardown(self) -> None:
        super().teardown()
        self.lived.append(self.step)

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), changes=st.booleans())
    def repeat(self, data: st.DataObject, changes: bool) -> None:
        """A request with a known key acts no second time."""
        kept = self.pick(data, self.kept, "request")
        body = {**kept.body, "content": kept.body["content"] + "!"} if changes else kept.body
        answer = self.ask(kept.who, "POST", kept.path, body, key=kept.key)
        talk = next((talk for company in self.companies for talk in company.talks if talk.id in kept.path), None)
        if kept.who.is_dead:
            answer.problem(401, "unauthenticated")
        elif talk is None and not (changes and answer.status == 422):  # a key is known longer than what it was for
            answer.problem(404, "not_found")
        elif changes:
            answer.problem(422, "idempotency_key_reused")
        else:
            assert answer.status in {200, 202}, answer
            assert answer.json.items() >= kept.answer.items(), (answer, kept.answer)
            self.did["repeated"] += 1

    def ledger(self, company: Company) -> list[Row]:
        statement = "SELECT run_id, conversation_id, cost_micros, closed_at FROM ledger WHERE tenant_id = {}"
        found = asyncio.run(rows(self.server, statement, UUID(company.id)))
        assert all(closed_at is not None for *_, closed_at in found), found
        return [(str(UUID(str(run))), str(UUID(str(talk))), cost) for run, talk, cost, _ in found]
