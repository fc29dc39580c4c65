"""Statements that are built and compiled once, and asked thousands of times a second.

To build a statement and to find its compiled form again takes SQLAlchemy several times as long as the database needs to
answer it. So a repository says how a statement is built, in a method with `prepared`; that is called once for each
database, with parameters in place of its arguments. What comes out goes to the driver as it is.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, wraps
from inspect import Parameter, signature
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

import sqlalchemy as sa

P = ParamSpec("P")
Row = Any
"""Has its columns by place and by name."""
Processor = Callable[[Any], Any]
_THE, _NEW = "the_", "new_"
"""Before the names of parameters, and of columns that are set; neither may have a column's own name."""
_DOUBLE = 701
"""What PostgreSQL calls the only kind of number of which there are several."""
TENANT: sa.BindParameter[Any] = sa.bindparam(_THE + "tenant", None, sa.Uuid())
"""Stands for the tenant of whoever asks."""


class Prepared:
    """A statement for one database. It is compiled when it is first needed: some only grow into others."""

    def __init__(self, statement: Any, dialect: sa.Dialect) -> None:
        self.statement = statement
        self._dialect = dialect
        self._forms: dict[tuple[tuple[str, ...], int], Prepared] = {}

    @cached_property
    def only_reads(self) -> bool:
        return only_reads(self.statement)

    @cached_property
    def _compiled(self) -> Any:
        return self.statement.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})

    @cached_property
    def sql(self) -> str:
        """In the words of the database."""
        text: str = self._compiled.string
        return text

    @cached_property
    def _arguments(self) -> "list[_Argument]":
        return [_argument(self._compiled, name, self._dialect) for name in self._compiled.positiontup]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """In the form and the order in which the driver takes them."""
        return [
            value if name is None else values[name] if process is None else process(values[name])
            for name, value, process in self._arguments
        ]

    @cached_property
    def _row(self) -> Callable[[Sequence[Any]], Row]:
        return _row_maker(self.statement, self._dialect)

    def rows(self, records: Iterable[Sequence[Any]]) -> list[Row]:
        """What the driver found, in the form that the columns' types say."""
        return list(map(self._row, records))

    def setting(self, names: tuple[str, ...], rows: int) -> "Prepared":
        """The same insert or update with values for these columns, an insert for so many rows."""
        if (form := self._forms.get((names, rows))) is None:
            columns = [self.statement.table.c[name] for name in names]
            values = [{column.name: new(column, row) for column in columns} for row in range(rows)]
            statement = self.statement.values(values if rows > 1 else values[0])
            form = self._forms[names, rows] = Prepared(statement, self._dialect)
        return form


class Asked(NamedTuple):
    """A prepared statement, as soon as it is known in which words, with the values of its parameters."""

    of: Callable[[sa.Dialect], Prepared]
    values: dict[str, Any]

    def setting(self, *rows: Mapping[str, Any]) -> "Asked":
        """The same insert or update with these values for columns. Several rows, for an insert only, have the same."""
        names, of, count = tuple(rows[0]), self.of, len(rows)
        return Asked(lambda dialect: of(dialect).setting(names, count), self.giving(*rows).values)

    def giving(self, *rows: Mapping[str, Any]) -> "Asked":
        """Give the columns values for which there is a place in the statement; see `new`."""
        values = {_new(name, row): value for row, columns in enumerate(rows) for name, value in columns.items()}
        return Asked(self.of, {**self.values, **values})


def new(column: Any, row: int = 0) -> sa.BindParameter[Any]:
    """The place of a column's new value in a statement; of several rows, in one of them."""
    return sa.bindparam(_new(column.name, row), None, column.type)


def _new(name: str, row: int) -> str:
    return f"{_NEW}{row}_{name}"


class Asking(Protocol):
    """A repository."""

    def _prepared_for(self, key: object, build: Callable[[Any], Any]) -> Callable[[sa.Dialect], Prepared]:
        """The statement that was built under this key; else `build` builds it for a repository of any tenant."""

    @property
    def _asks_for(self) -> dict[str, Any]:
        """The parameters of every statement of its."""


A = TypeVar("A", bound=Asking)


def prepared(build: Callable[Concatenate[A, P], Any]) -> Callable[Concatenate[A, P], Asked]:
    """A method that builds a statement of its arguments. Those by place become parameters, a tuple as many as it has
    members. Those by keyword are parts of the statement. For each combination of parts and of lengths there is a
    statement of its own, which is kept for good: there must be few.
    """
    parameters = list(signature(build).parameters.values())[1:]
    names = [each.name for each in parameters if each.kind != Parameter.KEYWORD_ONLY]

    @wraps(build)
    def ask(repository: A, /, *args: P.args, **parts: P.kwargs) -> Asked:
        values = repository._asks_for  # noqa: SLF001
        lengths = [_give(values, name, value) for name, value in zip(names, args, strict=True)]
        builder: Any = build

        def built(anybody: A) -> Any:
            return builder(anybody, *map(_places, names, lengths), **parts)

        of = repository._prepared_for((build, *lengths, *parts.items()), built)  # noqa: SLF001
        return Asked(of, values)

    return ask


def _give(values: dict[str, Any], name: str, value: object) -> int | None:
    """Returns how many there are of it, if it is a tuple."""
    if not isinstance(value, tuple):
        values[_THE + name] = value
        return None
    for number, member in enumerate(value):
        values[f"{_THE}{name}_{number}"] = member
    return len(value)


def _places(name: str, length: int | None) -> Any:
    if length is None:
        return sa.bindparam(_THE + name, None)
    return tuple(sa.bindparam(f"{_THE}{name}_{number}", None) for number in range(length))


def only_reads(statement: Any) -> bool:
    """Whether it changes and locks nothing."""
    if isinstance(statement, sa.CompoundSelect):
        return all(only_reads(part) for part in statement.selects)
    return isinstance(statement, sa.Select) and statement._for_update_arg is None  # noqa: SLF001


class _Argument(NamedTuple):
    name: str | None
    """None if it is a part of the statement."""
    value: Any
    process: Processor | None


def _argument(compiled: Any, name: str, dialect: sa.Dialect) -> _Argument:
    # Of several values for one place, as in a list of words, each has a number behind the name of the place.
    bind = compiled.binds.get(name, compiled.binds.get(name.rpartition("_")[0]))
    process = _to_driver(bind.type, dialect)
    if name.startswith((_THE, _NEW)):
        return _Argument(name, None, process)
    value = compiled.params[name]
    return _Argument(None, value if process is None else process(value), None)


def _to_driver(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Processor | None:
    process: Processor | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return process


def _from_driver(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Processor | None:
    process: Processor | None = kind.dialect_impl(dialect).result_processor(dialect, _DOUBLE)
    return process


def _kind_of_row(names: Iterable[str]) -> Any:
    return namedtuple("Row", tuple(names), rename=True)


def _row_maker(statement: Any, dialect: sa.Dialect) -> Callable[[Sequence[Any]], Row]:
    """Makes rows of what the driver gives."""
    columns = statement.selected_columns if isinstance(statement, sa.Select) else statement.exported_columns
    make: Callable[[Sequence[Any]], Row] = _kind_of_row(columns.keys())._make
    processes = [_from_driver(column.type, dialect) for column in columns]
    if not any(processes):
        return make
    return lambda record: make(
        [value if process is None else process(value) for process, value in zip(processes, record, strict=True)]
    )
