"""What calls hold of budgets, and what is left for the others."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.budgets import Grant, Period, Quote, SetBy, Subject
from retinue.domain.errors import BudgetExceeded, Conflict, NotFound
from retinue.domain.ids import new_id
from retinue.domain.runs import Run
from tests.contract.repositories.spending import KEY_ID, Purse, a_call_of, book, close, priced


@pytest.fixture(params=[False, True], ids=["step by step", "at once"])
def purse(request: pytest.FixtureRequest, database: Database, run: Run) -> Purse:
    return Purse(database, run, at_once=request.param)


async def test_without_budgets_nothing_is_reserved_and_no_price_asked_for(purse: Purse) -> None:
    def unasked() -> Quote:
        raise AssertionError("nobody needs it")

    _, grant = await purse.open(unasked)
    assert grant is None


async def test_a_call_holds_the_most_it_can_cost_until_it_is_closed(purse: Purse) -> None:
    budget = await purse.add(limit_micros=1000)
    entry, grant = await purse.open()
    assert grant == Grant(300, is_whole=True)
    assert await purse.counters(budget) == (0, 300)
    assert await purse.close(entry, 120)
    assert await purse.counters(budget) == (120, 0)
    assert not await purse.close(entry, 120), "closed only once"
    assert await purse.counters(budget) == (120, 0)


async def test_what_a_call_cost_counts_even_if_it_is_more_than_was_granted(purse: Purse) -> None:
    budget = await purse.add(limit_micros=1000)
    entry, _ = await purse.open()
    await purse.close(entry, 5000)
    assert await purse.counters(budget) == (5000, 0)
    with pytest.raises(BudgetExceeded):
        await purse.open()


async def test_an_unknown_cost_gives_everything_back(purse: Purse) -> None:
    budget = await purse.add(limit_micros=1000)
    entry, _ = await purse.open()
    await purse.close(entry, None)
    assert await purse.counters(budget) == (0, 0)


async def test_less_is_granted_where_less_is_left(purse: Purse) -> None:
    budget = await purse.add(limit_micros=500)
    await purse.open()
    _, grant = await purse.open()
    assert grant == Grant(200, is_whole=False)
    assert await purse.counters(budget) == (0, 500)


@pytest.mark.parametrize(("left", "is_granted"), [(101, True), (100, False), (0, False)])
async def test_more_than_the_input_must_be_left(purse: Purse, left: int, is_granted: bool) -> None:
    await purse.add(limit_micros=left)
    if is_granted:
        assert (await purse.open())[1] == Grant(left, is_whole=False)
        return
    with pytest.raises(BudgetExceeded):
        await purse.open()


async def test_a_refusal_says_which_budget_and_when_it_begins_anew(purse: Purse) -> None:
    budgets = [await purse.add(limit_micros=0, period=period) for period in Period]
    with pytest.raises(BudgetExceeded) as caught:
        await purse.open()
    day, month = [await purse.now(budget) for budget in budgets]
    named = day if day.period_end == month.period_end else month
    assert str(named.id) in caught.value.detail
    assert f"{named.period_end:%Y-%m-%d}" in caught.value.detail
    seconds = (named.period_end - datetime.now(UTC)).total_seconds()
    assert int(caught.value.headers["Retry-After"]) == pytest.approx(seconds, abs=5)


async def test_a_refused_call_is_not_open(purse: Purse) -> None:
    await purse.add(limit_micros=0)
    entry = a_call_of(purse.run)
    async with purse.database.unit(purse.run.tenant_id) as unit:
        await unit.ledger.open(entry)
        with pytest.raises(BudgetExceeded):
            await unit.ledger.reserve(entry, priced)
    async with purse.database.unit(purse.run.tenant_id) as unit:
        assert await unit.ledger.list(purse.run.id) == []


@pytest.mark.parametrize(
    ("subject", "named"),
    [
        (Subject.TENANT, lambda run: str(run.tenant_id)),
        (Subject.EMPLOYEE, lambda run: str(run.employee_id)),
        (Subject.USER, lambda _: "user-1"),
        (Subject.KEY, lambda _: str(KEY_ID)),
    ],
)
async def test_a_budget_bounds_its_own_subject_only(
    purse: Purse, subject: Subject, named: Callable[[Run], str]
) -> None:
    await purse.add(subject=subject, subject_id=named(purse.run), limit_micros=0)
    with pytest.raises(BudgetExceeded):
        await purse.open()
    others = {"employee_id": new_id(), "user_id": "user-2", "key_id": new_id()}
    if subject is not Subject.TENANT:
        entry = msgspec.structs.replace(a_call_of(purse.run), **others)
        async with purse.database.unit(purse.run.tenant_id) as unit:
            await unit.ledger.open(entry)
            assert await unit.ledger.reserve(entry, priced) is None


async def test_somebody_named_like_something_else_is_not_that(purse: Purse) -> None:
    await purse.add(subject=Subject.USER, subject_id=str(purse.run.employee_id), limit_micros=0)
    _, grant = await purse.open()
    assert grant is None


async def test_all_budgets_count_and_the_tightest_bounds(purse: Purse) -> None:
    wide = await purse.add(limit_micros=10_000, period=Period.MONTH)
    tight = await purse.add(limit_micros=250, set_by=SetBy.OPERATOR)
    entry, grant = await purse.open()
    assert grant == Grant(250, is_whole=False)
    await purse.close(entry, 240)
    assert [await purse.counters(each) for each in (wide, tight)] == [(240, 0), (240, 0)]
    with pytest.raises(BudgetExceeded) as caught:
        await purse.open()
    assert str(tight) in caught.value.detail
    assert await purse.counters(wide) == (240, 0), "a refusal holds nothing"


async def test_a_budget_that_does_not_stop_only_counts(purse: Purse) -> None:
    budget = await purse.add(limit_micros=1, hard_stop=False)
    entry, grant = await purse.open()
    assert grant is None
    assert await purse.counters(budget) == (0, 300)
    await purse.close(entry, 200)
    assert await purse.counters(budget) == (200, 0)
    assert (await purse.open(lambda: None))[1] is None, "nor does it ask for a price"


async def test_an_unknown_price_is_refused_where_a_budget_stops(purse: Purse) -> None:
    await purse.add(limit_micros=10_000)
    with pytest.raises(Conflict) as caught:
        await purse.open(lambda: None)
    assert caught.value.problem_code == "price_unknown"


async def test_what_is_given_back_is_there_for_the_next_call_of_the_transaction(purse: Purse) -> None:
    budget = await purse.add(limit_micros=300)
    entry, _ = await purse.open()
    following = a_call_of(purse.run, tries=2)
    async with purse.database.unit(purse.run.tenant_id) as unit:
        await unit.ledger.open(following)
        await close(unit, entry, 0)
        assert await unit.ledger.reserve(following, priced) == Grant(300, is_whole=True)
    assert await purse.counters(budget) == (0, 300)


async def test_an_opening_that_is_repeated_reserves_once(purse: Purse) -> None:
    """Nobody knows whether a commit took place whose answer got lost."""
    budget = await purse.add(limit_micros=450)
    await purse.open()
    entry, grant = await purse.open()
    async with purse.database.unit(purse.run.tenant_id) as unit:
        assert not await unit.ledger.open(entry)
        assert await unit.ledger.reserve(entry, priced, is_new=False) == grant == Grant(150, is_whole=False)
    assert await purse.counters(budget) == (0, 450)


async def test_a_tenant_that_is_not_there_pays_for_nothing(purse: Purse) -> None:
    nobody = new_id()
    async with purse.database.unit(nobody) as unit:
        with pytest.raises(NotFound):
            await book(unit, a_call_of(purse.run, tenant_id=nobody))
