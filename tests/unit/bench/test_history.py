"""A tenant's made-up past is one that the server could have written."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from retinue.domain.ids import new_id
from retinue.domain.spending import Grouping
from tests.bench.contenders.retinue import Tenant
from tests.bench.history import History, remember
from tests.bench.scenarios.growth import FLAT, reads
from tests.contract.repositories.builders import a_tenant
from tests.support.client import RetinueClient
from tests.support.databases import Postgres
from tests.support.roles import open_as_superuser


async def test_it_reads_as_what_was_really_said(postgres: Postgres, migrated_template: str) -> None:
    tenant = Tenant(RetinueClient("nowhere"), new_id(), new_id())
    with postgres.database(template=migrated_template) as url:
        database = open_as_superuser(url)
        async with database.operator() as operator:
            await operator.tenants.add(a_tenant(id=tenant.id))
        history = await remember(postgres, url, tenant, 1000)
        assert history.turns == 240
        assert len(history.conversations) == 24
        try:
            async with database.unit(tenant.id, read_only=True) as unit:
                conversation = await unit.conversations.get(UUID(history.conversations[0]))
                messages = await unit.messages.list(conversation.id, limit=50)
                assert [message.position for message in messages] == [*range(1, conversation.message_count + 1)]
                assert messages[0].created_at == conversation.created_at
                for message in messages:
                    run = await unit.runs.get(message.run_id or new_id())
                    assert message.id in {run.user_message_id, run.message_id}
                    assert {call.run_id for call in await unit.ledger.list(run.id)} == {run.id}
                until = history.until + timedelta(seconds=1)
                for grouping in Grouping:
                    since = history.since_last(100)
                    rows = await unit.usage.summarize(grouping, since=since, until=until, limit=200)
                    assert sum(row.calls for row in rows) == pytest.approx(105, abs=1), grouping
                    assert sum(row.runs for row in rows) >= 100
            async with database.operator(read_only=True) as operator:
                assert not await operator.usage.is_behind()
        finally:
            await database.aclose()


def test_reads_are_the_same_at_every_size() -> None:
    def paths(turns: int) -> list[str]:
        history = History(new_id(), ["a", "b"], until=datetime.now(UTC), turns=turns)
        return [*reads(history)]

    assert paths(100) == paths(100_000)
    assert {f"{name}_p50_ms" for name in paths(100)} | {"turn_p50_ms"} == set(FLAT)
