"""Whatever becomes of a run: one row for each try, closed once, and every sum is the sum of the rows."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.unit.runs.books import STORIES, Act, Theatre
from tests.unit.runs.conftest import World

pytestmark = pytest.mark.slow


@pytest.fixture
async def theatre(world: World) -> Theatre:
    theatre = Theatre(world)
    await theatre.open()
    return theatre


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=STORIES)
async def test_the_books_are_right(theatre: Theatre, acts: list[Act]) -> None:
    await theatre.play(acts)
