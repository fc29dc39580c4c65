"""Listening to what repositories ask."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from retinue.db.executor import Executor, Values
from retinue.db.prepared import Asked, Prepared


class Heard(NamedTuple):
    statement: Any
    """As SQLAlchemy knows it."""
    sql: str
    arguments: Any


@contextmanager
def listening() -> Iterator[list[Heard]]:
    """Every statement of every unit that is carried out meanwhile, prepared or not."""
    heard: list[Heard] = []
    run, ready = Executor._run, Executor._ready

    async def note_run(self: Executor, statement: Any, values: Values | None = None, *, missing: str = "") -> Any:
        result = await run(self, statement, values, missing=missing)
        context: Any = result.context
        heard.append(Heard(statement, context.statement, context.parameters[0]))
        return result

    def note_ready(self: Executor, asked: Asked) -> tuple[Prepared, Sequence[Any]]:
        prepared, arguments = ready(self, asked)
        heard.append(Heard(prepared.statement, prepared.sql, tuple(arguments)))
        return prepared, arguments

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Executor, "_run", note_run)
        patch.setattr(Executor, "_ready", note_ready)
        yield heard
