"""Statements that are built and compiled once, and asked thousands of times a second.

To build a statement and to find its compiled form again takes SQLAlchemy several times as long as the database needs to
answer it. So a repository says how a statement is built, in a method with `prepared`; that is called once for each
database, with parameters in place of its arguments. What comes out goes to the driver as it is.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from functools import cached_property, partial, wraps
from inspect import Parameter, signature
from operator import itemgetter
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

import sqlalchemy as sa

P = ParamSpec("P")
Row = Any
"""Has its columns by place and by name."""
Processor = Callable[[Any], Any]
Values = tuple[Any, ...]
Columns = Mapping[str, Any]
"""Their values, by name."""
_THE, _NEW = "the_", "new_"
"""Before the names of parameters, and of columns that are set; neither may have a column's own name."""
_DOUBLE = 701
"""What PostgreSQL calls the only kind of number of which there are several."""
TENANT: sa.BindParameter[Any] = sa.bindparam(_THE + "tenant", None, sa.Uuid())
"""Stands for the tenant of whoever asks."""


class Prepared:
    """A statement for one database. It is compiled when it is first needed: some only grow into others."""

    def __init__(self, statement: Any, dialect: sa.Dialect, parameters: Sequence[str]) -> None:
        """
        Args:
            parameters: in the order in which their values will come; the statement need not have them all.
        """
        self.statement = statement
        self._dialect = dialect
        self._parameters = parameters
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
    def arguments(self) -> "Arguments":
        """From values to arguments."""
        return Arguments(self._compiled, self._dialect, self._parameters)

    @cached_property
    def returned(self) -> Sequence[str]:
        """The columns of the rows that an insert, update or delete gives back."""
        return list(self.statement.exported_columns.keys())

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
            form = self._forms[names, rows] = Prepared(statement, self._dialect, self._parameters)
        return form


class Arguments:
    """Gives a statement's values the form and the order in which the driver takes them."""

    def __init__(self, compiled: Any, dialect: sa.Dialect, parameters: Sequence[str]) -> None:
        names: list[str] = list(compiled.positiontup)
        given = list(dict.fromkeys(name for name in names if name.startswith(_NEW)))
        rows = sorted({_row_of(name) for name in given})
        by_row = [[name for name in given if _row_of(name) == row] for row in rows]
        fixed = [name for name in names if not name.startswith((_THE, _NEW))]
        flat = [*parameters, *(name for row in by_row for name in row), *fixed]
        needed = [(place, name) for place, name in enumerate(flat) if name in names]
        processes = [(place, _to_driver(_bind(compiled, name).type, dialect)) for place, name in needed]
        self._given = [_picker([_column_of(name) for name in row]) for row in by_row]
        self._processes = [(place, process) for place, process in processes if process is not None]
        self._fixed = [compiled.params[name] for name in fixed]
        self._ordered = _picker([flat.index(name) for name in names])

    def __call__(self, values: Values, rows: Sequence[Columns] = ()) -> Sequence[Any]:
        """
        Args:
            values: of the statement's parameters.
            rows: of columns; see `new`.
        """
        flat = [*values]
        for pick, row in zip(self._given, rows, strict=True):
            flat += pick(row)
        flat += self._fixed
        for place, process in self._processes:
            if (value := flat[place]) is not None:
                flat[place] = process(value)
        return self._ordered(flat)


class Asked(NamedTuple):
    """A prepared statement with the values of its parameters."""

    prepared: Prepared
    values: Values
    rows: tuple[Columns, ...] = ()
    """Values of columns."""

    @property
    def arguments(self) -> Sequence[Any]:
        """Raises whatever a column's type thinks of a value."""
        return self.prepared.arguments(self.values, self.rows)

    def setting(self, *rows: Columns) -> "Asked":
        """The same insert or update with these values for columns. Several rows, for an insert only, have the same."""
        return Asked(self.prepared.setting(tuple(rows[0]), len(rows)), self.values, rows)

    def giving(self, *rows: Columns) -> "Asked":
        """Give the columns values for which there is a place in the statement; see `new`."""
        return Asked(self.prepared, self.values, rows)


def new(column: Any, row: int = 0) -> sa.BindParameter[Any]:
    """The place of a column's new value in a statement; of several rows, in one of them."""
    return sa.bindparam(f"{_NEW}{row}_{column.name}", None, column.type)


def _row_of(name: str) -> int:
    return int(name.split("_", 2)[1])


def _column_of(name: str) -> str:
    return name.split("_", 2)[2]


class Asking(Protocol):
    """A repository."""

    @property
    def _known(self) -> MutableMapping[object, Prepared]:
        """What was prepared for its database, by what it was built of."""

    @property
    def _asks_for(self) -> Values:
        """The first values of every statement of its."""

    def _prepare(self, build: Callable[[Any], Any], parameters: Sequence[str]) -> Prepared:
        """`build` builds a statement for a repository of any tenant; its own parameters come last."""


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
        # This is called some ten thousand times a second.
        if len(args) != len(names):
            raise TypeError(f"{build.__name__} takes {len(names)} values by place")
        lengths: tuple[int | None, ...] = ()
        values: Values = args
        if tuple in map(type, args):
            lengths = tuple(len(value) if isinstance(value, tuple) else None for value in args)
            values = tuple(_each(args))
        key = (type(repository), build, lengths, *parts.items())
        statement = repository._known.get(key)  # noqa: SLF001
        if statement is None:
            builder: Any = build
            places = list(map(_places, names, lengths or [None] * len(names)))
            parameters = [place.key for place in _each(places)]
            statement = repository._prepare(lambda anybodys: builder(anybodys, *places, **parts), parameters)  # noqa: SLF001
            repository._known[key] = statement  # noqa: SLF001
        return Asked(statement, repository._asks_for + values)  # noqa: SLF001

    return ask


def _each(args: Iterable[Any]) -> Iterator[Any]:
    """Them, and the members of those that are several."""
    for value in args:
        if isinstance(value, tuple):
            yield from value
        else:
            yield value


def _places(name: str, length: int | None) -> Any:
    if length is None:
        return sa.bindparam(_THE + name, None)
    return tuple(sa.bindparam(f"{_THE}{name}_{number}", None) for number in range(length))


def only_reads(statement: Any) -> bool:
    """Whether it changes and locks nothing."""
    if isinstance(statement, sa.CompoundSelect):
        return all(only_reads(part) for part in statement.selects)
    return isinstance(statement, sa.Select) and statement._for_update_arg is None  # noqa: SLF001


def _picker(keys: Sequence[Any]) -> Callable[[Any], Sequence[Any]]:
    """Takes these out of what has them, in this order."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda source: [source[key] for key in keys]


def _bind(compiled: Any, name: str) -> Any:
    # Of several values for one place, as in a list of words, each has a number behind the name of the place.
    return compiled.binds.get(name, compiled.binds.get(name.rpartition("_")[0]))


def _to_driver(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Processor | None:
    process: Processor | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return process


def _from_driver(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Processor | None:
    process: Processor | None = kind.dialect_impl(dialect).result_processor(dialect, _DOUBLE)
    return process


def _row_maker(statement: Any, dialect: sa.Dialect) -> Callable[[Sequence[Any]], Row]:
    """Makes rows of what the driver gives."""
    columns = statement.selected_columns if isinstance(statement, sa.Select) else statement.exported_columns
    kind = namedtuple("Row", tuple(columns.keys()), rename=True)  # type: ignore[misc]
    make: Callable[[Sequence[Any]], Row] = partial(tuple.__new__, kind)
    processes = [(place, _from_driver(column.type, dialect)) for place, column in enumerate(columns)]
    needed = [(place, process) for place, process in processes if process is not None]
    if not needed:
        return make

    def make_row(record: Sequence[Any]) -> Row:
        values = [*record]
        for place, process in needed:
            if (value := values[place]) is not None:
                values[place] = process(value)
        return make(values)

    return make_row
