"""Random lives of two tenants do what a model in plain Python says they should."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.model.caller import Caller
from tests.fuzz.model.life import Life
from tests.fuzz.sizes import IS_FULL, SEED, SIZES
from tests.support.forking import ForkedServer

pytestmark = pytest.mark.slow

SETTINGS = settings(
    max_examples=SIZES.machine_runs,
    stateful_step_count=SIZES.machine_steps,
    derandomize=not IS_FULL,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    # A short life that goes wrong can be read as it is.
    phases=[Phase.generate, Phase.shrink] if IS_FULL else [Phase.generate],
)


@pytest.fixture
def caller(either: ForkedServer) -> Iterator[Caller]:
    caller = Caller(either.address)
    yield caller
    caller.close()


def test_lives_go_as_the_model_says(either: ForkedServer, caller: Caller, figure: Callable[[str], None]) -> None:
    lives = Life.on(either, caller)
    run_state_machine_as_test(seed(SEED)(lives) if IS_FULL else lives, settings=SETTINGS)
    told = ", ".join(f"{count} {what}" for what, count in sorted(lives.did.items()))
    figure(f"{len(lives.lived)} lives, {sum(lives.lived)} steps: {told}")
    assert len(lives.lived) >= SIZES.machine_runs
    assert "Traceback" not in either.output
